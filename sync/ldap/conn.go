package ldap

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

const (
	pagedResultsOID = "1.2.840.113556.1.4.319"
	startTLSOID     = "1.3.6.1.4.1.1466.20037"
)

// maxUnpaged is how many entries an answer without pages may have.
const maxUnpaged = 1000

// conn is one connection with at most one request under way. After an error it
// is of no further use but to be closed.
type conn struct {
	net     net.Conn
	in      *bufio.Reader
	buf     []byte
	id      int64
	timeout time.Duration // of one request with all its answers
	server  string        // host:port
}

func newConn(c net.Conn, timeout time.Duration) *conn {
	return &conn{net: c, in: bufio.NewReaderSize(c, 64<<10), timeout: timeout}
}

// close says goodbye and closes. Its errors would say nothing new.
func (c *conn) close() {
	if c.net.SetDeadline(time.Now().Add(time.Second)) == nil {
		unbind := asn1.Encode(asn1.ClassApplication, asn1.TypePrimitive, ldap.ApplicationUnbindRequest, nil, "")
		_ = c.send(unbind, nil)
	}
	_ = c.net.Close()
}

// request runs fn, which sends one request and reads its answers, within the
// time-out and for as long as ctx lasts.
func (c *conn) request(ctx context.Context, fn func() error) error {
	if err := c.net.SetDeadline(time.Now().Add(c.timeout)); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.net.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err := ctx.Err(); err != nil {
		return err
	}
	err := fn()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return &store.Error{Code: store.CodeBusy, Err: err,
			Message: fmt.Sprintf("the LDAP server did not answer within %v", c.timeout),
			Field:   "timeout_seconds", Hint: "raise timeout_seconds, or lower page_size"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &store.Error{Code: store.CodeBusy, Err: err,
			Message: "the LDAP server closed the connection in the middle of an answer",
			Hint:    "look into the server's log; the read can be repeated"}
	}
	return err
}

func (c *conn) send(op *asn1.Packet, controls *asn1.Packet) error {
	c.id++
	envelope := asn1.NewSequence("")
	envelope.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, c.id, ""))
	envelope.AppendChild(op)
	if controls != nil {
		envelope.AppendChild(controls)
	}
	_, err := c.net.Write(envelope.Bytes())
	return err
}

// receive reads the next answer to the request under way.
func (c *conn) receive() (message, error) {
	m, buf, err := readMessage(c.in, c.buf)
	if cap(buf) <= 1<<20 { // do not keep what one huge group needed
		c.buf = buf
	}
	if err != nil {
		return message{}, err
	}
	if m.id == 0 && m.op == opExtendedResponse { // notice of disconnection, RFC 4511 section 4.4.1
		r, err := parseResult(m.body)
		if err != nil {
			return message{}, err
		}
		return message{}, serverError("keep the connection", r)
	}
	if m.id != c.id {
		return message{}, errMalformed
	}
	return m, nil
}

// simple sends a request that has one answer.
func (c *conn) simple(ctx context.Context, request *asn1.Packet, answer byte) (r result, err error) {
	err = c.request(ctx, func() error {
		if err := c.send(request, nil); err != nil {
			return err
		}
		m, err := c.receive()
		if err != nil {
			return err
		}
		if m.op != answer {
			return errMalformed
		}
		r, err = parseResult(m.body)
		return err
	})
	return r, err
}

func (c *conn) bind(ctx context.Context, name, password string) (result, error) {
	request := asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, ldap.ApplicationBindRequest, nil, "")
	request.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, 3, ""))
	request.AppendChild(octets(name))
	request.AppendChild(asn1.NewString(asn1.ClassContext, asn1.TypePrimitive, 0, password, ""))
	return c.simple(ctx, request, opBindResponse)
}

// startTLS encrypts the connection (RFC 4511 section 4.14).
func (c *conn) startTLS(ctx context.Context, config *tls.Config) (result, error) {
	request := asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, ldap.ApplicationExtendedRequest, nil, "")
	request.AppendChild(asn1.NewString(asn1.ClassContext, asn1.TypePrimitive, 0, startTLSOID, ""))
	r, err := c.simple(ctx, request, opExtendedResponse)
	if err != nil || r.code != ldap.LDAPResultSuccess {
		return r, err
	}
	if c.in.Buffered() > 0 { // sent by someone in between, before encryption
		return r, errMalformed
	}
	return r, c.encrypt(ctx, config)
}

// encrypt makes the connection a TLS connection.
func (c *conn) encrypt(ctx context.Context, config *tls.Config) error {
	encrypted := tls.Client(c.net, config)
	if err := c.request(ctx, func() error { return encrypted.HandshakeContext(ctx) }); err != nil {
		return err
	}
	c.net = encrypted
	c.in.Reset(encrypted)
	return nil
}

// query is a search request (RFC 4511 section 4.5.1).
type query struct {
	base       string
	scope      int
	filter     *asn1.Packet
	attributes []string
	size       int // of a page; 0: not paged
	cookie     string
	controls   []*asn1.Packet // besides that of pages
}

// search sends one search request and reads all its answers. A result other than
// success is an error.
func (c *conn) search(ctx context.Context, q query) (*page, error) {
	p, limit := &page{}, q.size
	if limit == 0 {
		limit = maxUnpaged
	}
	err := c.request(ctx, func() error {
		if err := c.send(q.encode(c.timeout)); err != nil {
			return err
		}
		for {
			m, err := c.receive()
			if err != nil {
				return err
			}
			switch m.op {
			case opSearchEntry:
				if len(p.entries) == limit {
					return &store.Error{Code: store.CodeBusy, Hint: "the server must support paged results (RFC 2696)",
						Message: fmt.Sprintf("the LDAP server sent more than the %d entries that were asked for", limit)}
				}
				err = p.add(m.body)
			case opSearchReference:
				uris := ber(m.body)
				uri, ok := uris.want(tagOctetString)
				if !ok {
					return errMalformed
				}
				p.references = append(p.references, string(uri))
			case opSearchDone:
				r, err := parseResult(m.body)
				if err != nil {
					return err
				}
				if r.code != ldap.LDAPResultSuccess {
					return serverError("search below "+quoteDN(q.base), r)
				}
				return p.done(m.controls)
			default:
				return errMalformed
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

func (q *query) encode(timeout time.Duration) (request, controls *asn1.Packet) {
	request = asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, ldap.ApplicationSearchRequest, nil, "")
	request.AppendChild(octets(q.base))
	request.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagEnumerated, q.scope, ""))
	request.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagEnumerated, ldap.NeverDerefAliases, ""))
	request.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, 0, ""))
	request.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, int(timeout.Seconds()), ""))
	request.AppendChild(asn1.NewBoolean(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagBoolean, false, ""))
	request.AppendChild(q.filter)
	attributes := asn1.NewSequence("")
	for _, name := range q.attributes {
		attributes.AppendChild(octets(name))
	}
	request.AppendChild(attributes)
	all := q.controls
	if q.size > 0 {
		value := asn1.NewSequence("") // RFC 2696 section 2
		value.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, q.size, ""))
		value.AppendChild(octets(q.cookie))
		all = append(all, control(pagedResultsOID, value))
	}
	if len(all) == 0 {
		return request, nil
	}
	controls = asn1.Encode(asn1.ClassContext, asn1.TypeConstructed, 0, nil, "")
	for _, c := range all {
		controls.AppendChild(c)
	}
	return request, controls
}

// control is a control with a value (RFC 4511 section 4.1.11). It is critical: a
// server that does not know it must refuse rather than ignore it.
func control(oid string, value *asn1.Packet) *asn1.Packet {
	c := asn1.NewSequence("")
	c.AppendChild(octets(oid))
	c.AppendChild(asn1.NewLDAPBoolean(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagBoolean, true, ""))
	c.AppendChild(octets(string(value.Bytes())))
	return c
}

func octets(s string) *asn1.Packet {
	return asn1.NewString(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagOctetString, s, "")
}
