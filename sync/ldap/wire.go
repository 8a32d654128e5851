package ldap

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// The protocol operations that we read (RFC 4511 section 4), as BER identifiers.
const (
	opBindResponse     = 0x61
	opSearchEntry      = 0x64
	opSearchDone       = 0x65
	opSearchReference  = 0x73
	opExtendedResponse = 0x78
	opIntermediate     = 0x79
)

const (
	tagBoolean     = 0x01
	tagInteger     = 0x02
	tagOctetString = 0x04
	tagEnumerated  = 0x0a
	tagSequence    = 0x30
	tagSet         = 0x31
	tagReferral    = 0xa3 // [3] of LDAPResult
	tagControls    = 0xa0 // [0] of LDAPMessage
)

// maxMessage bounds one message from a server: a group of two million members.
const maxMessage = 256 << 20

var errMalformed = errors.New("the server sent a malformed LDAP message")

// message is one LDAPMessage. Its strings are parts of one string that holds the
// whole message.
type message struct {
	id       int64
	op       byte
	body     string // content of the operation
	controls string // content of the controls, if there are any
}

// readMessage reads the next message. buf is reused between calls.
func readMessage(r *bufio.Reader, buf []byte) (message, []byte, error) {
	tag, err := r.ReadByte()
	if err != nil {
		return message{}, buf, err
	}
	if tag != tagSequence {
		return message{}, buf, errMalformed
	}
	size, err := readLength(r)
	if err != nil {
		return message{}, buf, err
	}
	if size > maxMessage {
		return message{}, buf, fmt.Errorf("the server sent a message of %d bytes, the limit is %d", size, maxMessage)
	}
	if size <= cap(buf) {
		buf = buf[:size]
		_, err = io.ReadFull(r, buf)
	} else {
		buf, err = readLarge(r, buf, size)
	}
	if err != nil {
		return message{}, buf, unexpected(err)
	}
	content := ber(string(buf))
	id, ok1 := content.integer()
	op, body, ok2 := content.next()
	if !ok1 || !ok2 {
		return message{}, buf, errMalformed
	}
	m := message{id: id, op: op, body: string(body)}
	for len(content) > 0 {
		tag, part, ok := content.next()
		if !ok {
			return message{}, buf, errMalformed
		}
		if tag == tagControls {
			m.controls = string(part)
		}
	}
	return m, buf, nil
}

// readLarge lets the buffer grow with what really arrives, so that a length that
// is only claimed costs nothing.
func readLarge(r io.Reader, buf []byte, size int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < size {
		start := len(buf)
		step := min(size-start, max(start, 64<<10))
		if cap(buf) < start+step {
			buf = append(make([]byte, 0, start+step), buf...)
		}
		buf = buf[:start+step]
		if _, err := io.ReadFull(r, buf[start:]); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

func readLength(r *bufio.Reader) (int, error) {
	first, err := r.ReadByte()
	if err != nil {
		return 0, unexpected(err)
	}
	if first < 0x80 {
		return int(first), nil
	}
	if first == 0x80 || first > 0x84 { // RFC 4511 section 5.1: the definite form only
		return 0, errMalformed
	}
	size := 0
	for range first & 0x7f {
		b, err := r.ReadByte()
		if err != nil {
			return 0, unexpected(err)
		}
		size = size<<8 | int(b)
	}
	return size, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ber is a run of BER elements (X.690 as RFC 4511 section 5.1 restricts it), read
// from the front.
type ber string

// next takes one element.
func (b *ber) next() (tag byte, content ber, ok bool) {
	s := *b
	if len(s) < 2 || s[0]&0x1f == 0x1f {
		return 0, "", false
	}
	tag = s[0]
	size, head := int(s[1]), 2
	if size >= 0x80 {
		n := size & 0x7f
		if n == 0 || n > 4 || len(s) < 2+n {
			return 0, "", false
		}
		size = 0
		for _, c := range []byte(s[2 : 2+n]) {
			size = size<<8 | int(c)
		}
		head += n
	}
	if size > len(s)-head {
		return 0, "", false
	}
	*b = s[head+size:]
	return tag, s[head : head+size], true
}

// want takes one element that must have the tag.
func (b *ber) want(tag byte) (ber, bool) {
	got, content, ok := b.next()
	return content, ok && got == tag
}

// integer takes an INTEGER or ENUMERATED of at most 8 bytes.
func (b *ber) integer() (int64, bool) {
	tag, content, ok := b.next()
	if !ok || (tag != tagInteger && tag != tagEnumerated) || len(content) == 0 || len(content) > 8 {
		return 0, false
	}
	n := int64(int8(content[0]))
	for i := 1; i < len(content); i++ {
		n = n<<8 | int64(content[i])
	}
	return n, true
}

// result is an LDAPResult (RFC 4511 section 4.1.9).
type result struct {
	code       int64
	diagnostic string
	referral   string // the first URI, if there is one
}

func parseResult(body string) (result, error) {
	b := ber(body)
	code, ok1 := b.integer()
	_, ok2 := b.want(tagOctetString) // matchedDN
	diagnostic, ok3 := b.want(tagOctetString)
	if !ok1 || !ok2 || !ok3 {
		return result{}, errMalformed
	}
	r := result{code: code, diagnostic: string(diagnostic)}
	if len(b) > 0 {
		if tag, uris, ok := b.next(); ok && tag == tagReferral {
			if uri, ok := uris.want(tagOctetString); ok {
				r.referral = string(uri)
			}
		}
	}
	return r, nil
}

// rawEntry is one SearchResultEntry; its attributes lie in its page.
type rawEntry struct {
	dn         string
	attributes []rawAttribute
}

// rawAttribute is one attribute as the server named it, options included.
type rawAttribute struct {
	name   string
	values []string
}

// page is one page of a search. Entries and values are parts of two slices that
// all entries share.
type page struct {
	entries    []rawEntry
	attributes []rawAttribute
	values     []string
	references []string // the first URI of each SearchResultReference
	cookie     string
	paged      bool // the server answered the paged results control
}

// add decodes a SearchResultEntry (RFC 4511 section 4.5.2).
func (p *page) add(body string) error {
	b := ber(body)
	dn, ok1 := b.want(tagOctetString)
	list, ok2 := b.want(tagSequence)
	if !ok1 || !ok2 {
		return errMalformed
	}
	first := len(p.attributes)
	for len(list) > 0 {
		attribute, ok1 := list.want(tagSequence)
		name, ok2 := attribute.want(tagOctetString)
		set, ok3 := attribute.want(tagSet)
		if !ok1 || !ok2 || !ok3 {
			return errMalformed
		}
		start := len(p.values)
		for len(set) > 0 {
			value, ok := set.want(tagOctetString)
			if !ok {
				return errMalformed
			}
			p.values = append(p.values, string(value))
		}
		end := len(p.values)
		p.attributes = append(p.attributes, rawAttribute{string(name), p.values[start:end:end]})
	}
	end := len(p.attributes)
	p.entries = append(p.entries, rawEntry{string(dn), p.attributes[first:end:end]})
	return nil
}

// done takes the controls of a SearchResultDone.
func (p *page) done(controls string) error {
	value, ok, err := controlValue(controls, pagedResultsOID)
	if err != nil || !ok {
		return err
	}
	sequence, ok1 := value.want(tagSequence)
	_, ok2 := sequence.integer()
	cookie, ok3 := sequence.want(tagOctetString)
	if !ok1 || !ok2 || !ok3 {
		return errMalformed
	}
	p.cookie, p.paged = string(cookie), true
	return nil
}

// controlValue finds the value of a control among those of a message; ok is false
// if it is not there or has no value.
func controlValue(controls, oid string) (value ber, ok bool, err error) {
	for list := ber(controls); len(list) > 0; {
		control, ok := list.want(tagSequence)
		if !ok {
			return "", false, errMalformed
		}
		name, ok := control.want(tagOctetString)
		if !ok {
			return "", false, errMalformed
		}
		if string(name) != oid {
			continue
		}
		for len(control) > 0 { // criticality may stand before the value
			tag, content, ok := control.next()
			if !ok {
				return "", false, errMalformed
			}
			if tag == tagOctetString {
				return content, true, nil
			}
		}
	}
	return "", false, nil
}

// boolean takes a BOOLEAN.
func (b *ber) boolean() (value, ok bool) {
	content, ok := b.want(tagBoolean)
	return ok && len(content) == 1 && content[0] != 0, ok && len(content) == 1
}

// peek reports whether the next element has the tag.
func (b *ber) peek(tag byte) bool { return len(*b) > 0 && (*b)[0] == tag }
