package ldap_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// fakeServer answers what no server of the tests does: as Windows does, or wrongly.
type fakeServer struct {
	url    string
	bind   answer
	search func(request) []answer
	binds  atomic.Int64 // so many attempts

	mu       sync.Mutex
	requests []request
}

type request struct {
	base       string
	filter     string
	attributes []string
	page       int
	cookie     string
	dirSync    *ldap.ControlDirSync // nil: it is not asked for changes
}

// answer is one message: an entry, a reference, or a result.
type answer struct {
	dn         string // of an entry
	attributes []ldap.EntryAttribute
	reference  string
	result     uint16
	diagnostic string
	cookie     string
	unpaged    bool // a result without the control
	more       bool // of DirSync
	hangUp     bool
}

func entry(dn string, attributes ...ldap.EntryAttribute) answer {
	return answer{dn: dn, attributes: attributes}
}

// isEntry reports whether it is an entry; that of the root DSE has no DN.
func (a answer) isEntry() bool { return a.dn != "" || a.attributes != nil }

func attribute(name string, values ...string) ldap.EntryAttribute {
	return ldap.EntryAttribute{Name: name, Values: values}
}

// fake starts a server; a search is answered with what the function returns.
func fake(t *testing.T, search func(request) []answer) *fakeServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &fakeServer{url: "ldap://" + listener.Addr().String(), search: search}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer conn.Close()
				if err := s.serve(conn); err != nil && !errors.Is(err, net.ErrClosed) {
					t.Logf("fake server: %v", err)
				}
			})
		}
	})
	t.Cleanup(func() {
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		running.Wait()
	})
	return s
}

func (s *fakeServer) settings(preset string) store.LDAP {
	return store.LDAP{
		URLs: []string{s.url}, AllowPlaintext: true, BindDN: "sync@corp.test", BaseDNs: []string{"dc=corp,dc=test"},
		Preset: preset, PageSize: 100, TimeoutSeconds: 5,
	}
}

func (s *fakeServer) seen() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

func (s *fakeServer) serve(conn net.Conn) error {
	for {
		packet, err := asn1.ReadPacket(conn)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil // the client is gone
		}
		if err != nil {
			return err
		}
		id, op := packet.Children[0].Value.(int64), packet.Children[1]
		switch op.Tag {
		case ldap.ApplicationBindRequest:
			s.binds.Add(1)
			err = write(conn, id, result(ldap.ApplicationBindResponse, s.bind), nil)
		case ldap.ApplicationSearchRequest:
			err = s.answer(conn, id, packet)
		case ldap.ApplicationExtendedRequest:
			err = write(conn, id, result(ldap.ApplicationExtendedResponse, answer{result: ldap.LDAPResultProtocolError}), nil)
		case ldap.ApplicationUnbindRequest:
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (s *fakeServer) answer(conn net.Conn, id int64, packet *asn1.Packet) error {
	op := packet.Children[1]
	filter, err := ldap.DecompileFilter(op.Children[6])
	if err != nil {
		return err
	}
	r := request{base: op.Children[0].Value.(string), filter: filter}
	for _, a := range op.Children[7].Children {
		r.attributes = append(r.attributes, a.Value.(string))
	}
	if len(packet.Children) > 2 {
		for _, encoded := range packet.Children[2].Children {
			control, err := ldap.DecodeControl(encoded)
			if err != nil {
				return err
			}
			switch control := control.(type) {
			case *ldap.ControlPaging:
				r.page, r.cookie = int(control.PagingSize), string(control.Cookie)
			case *ldap.ControlDirSync:
				r.dirSync = control
			}
		}
	}
	s.mu.Lock()
	s.requests = append(s.requests, r)
	s.mu.Unlock()
	answers := s.search(r)
	if len(answers) == 0 || answers[len(answers)-1].isEntry() || answers[len(answers)-1].reference != "" {
		answers = append(answers, answer{})
	}
	for _, a := range answers {
		var err error
		switch {
		case a.hangUp:
			return conn.Close()
		case a.isEntry():
			err = write(conn, id, entryPacket(a), nil)
		case a.reference != "":
			p := asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, ldap.ApplicationSearchResultReference, nil, "")
			p.AppendChild(octets(a.reference))
			err = write(conn, id, p, nil)
		default:
			var controls *asn1.Packet
			if r.page > 0 && !a.unpaged {
				paging := ldap.NewControlPaging(0)
				paging.SetCookie([]byte(a.cookie))
				controls = asn1.Encode(asn1.ClassContext, asn1.TypeConstructed, 0, nil, "")
				controls.AppendChild(paging.Encode())
			}
			if r.dirSync != nil && !a.unpaged {
				more := int64(0)
				if a.more {
					more = 1
				}
				told := ldap.NewRequestControlDirSync(more, 0, []byte(a.cookie))
				controls = asn1.Encode(asn1.ClassContext, asn1.TypeConstructed, 0, nil, "")
				controls.AppendChild(told.Encode())
			}
			err = write(conn, id, result(ldap.ApplicationSearchResultDone, a), controls)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func entryPacket(a answer) *asn1.Packet {
	p := asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, ldap.ApplicationSearchResultEntry, nil, "")
	p.AppendChild(octets(a.dn))
	list := asn1.NewSequence("")
	for _, attribute := range a.attributes {
		one := asn1.NewSequence("")
		one.AppendChild(octets(attribute.Name))
		set := asn1.Encode(asn1.ClassUniversal, asn1.TypeConstructed, asn1.TagSet, nil, "")
		for _, v := range attribute.Values {
			set.AppendChild(octets(v))
		}
		one.AppendChild(set)
		list.AppendChild(one)
	}
	p.AppendChild(list)
	return p
}

func result(op asn1.Tag, a answer) *asn1.Packet {
	p := asn1.Encode(asn1.ClassApplication, asn1.TypeConstructed, op, nil, "")
	p.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagEnumerated, int64(a.result), ""))
	p.AppendChild(octets(""))
	p.AppendChild(octets(a.diagnostic))
	if a.result == ldap.LDAPResultReferral {
		referral := asn1.Encode(asn1.ClassContext, asn1.TypeConstructed, 3, nil, "")
		referral.AppendChild(octets("ldap://other.corp.test/dc=corp,dc=test"))
		p.AppendChild(referral)
	}
	return p
}

func octets(s string) *asn1.Packet {
	return asn1.NewString(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagOctetString, s, "")
}

func write(conn net.Conn, id int64, op, controls *asn1.Packet) error {
	p := asn1.NewSequence("")
	p.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, id, ""))
	p.AppendChild(op)
	if controls != nil {
		p.AppendChild(controls)
	}
	_, err := conn.Write(p.Bytes())
	return err
}
