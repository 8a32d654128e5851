package testenv

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// DNSServer answers questions for TXT and A records, over UDP and TCP on one loopback port.
// Names that were never set do not exist (NXDOMAIN).
type DNSServer struct {
	Addr string // 127.0.0.1:PORT

	mu        sync.Mutex
	texts     map[string][]string // by canonical name
	addresses map[string][]net.IP // of IPv4, likewise; those before the last are each given once
	failure   int                 // the code of every answer, 0 for none
	silent    bool
	questions int
}

// DNS starts a DNS server for the test and stops it at its end.
func DNS(t testing.TB) *DNSServer {
	t.Helper()
	packets, listener, err := listenBoth()
	if err != nil {
		t.Fatalf("start a DNS server: %v", err)
	}
	server := &DNSServer{Addr: packets.LocalAddr().String(), texts: map[string][]string{}, addresses: map[string][]net.IP{}}
	for _, transport := range []*dns.Server{
		{PacketConn: packets, Handler: dns.HandlerFunc(server.answer)},
		{Listener: listener, Handler: dns.HandlerFunc(server.answer)},
	} {
		started, ended := make(chan struct{}), make(chan error, 1)
		transport.NotifyStartedFunc = func() { close(started) }
		go func() { ended <- transport.ActivateAndServe() }()
		select {
		case <-started:
		case err := <-ended:
			t.Fatalf("start a DNS server: %v", err)
		}
		t.Cleanup(func() {
			if err := errors.Join(transport.Shutdown(), <-ended); err != nil {
				t.Errorf("stop the DNS server: %v", err)
			}
		})
	}
	return server
}

// listenBoth finds a port that is free for UDP and TCP alike.
func listenBoth() (packets net.PacketConn, listener net.Listener, err error) {
	const attempts = 10
	for range attempts {
		if packets, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			return nil, nil, err
		}
		if listener, err = net.Listen("tcp", packets.LocalAddr().String()); err == nil {
			return packets, listener, nil
		}
		err = errors.Join(err, packets.Close())
	}
	return nil, nil, err
}

// SetTXT replaces the TXT records of the name, one for each value. Without
// values the name exists and has none.
func (s *DNSServer) SetTXT(name string, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.texts[dns.CanonicalName(name)] = values
}

// SetA replaces the A record of the name. With more addresses than one each is the answer
// once, in their order, and the last from then on: what rebinds a name does so.
func (s *DNSServer) SetA(name string, addresses ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]net.IP, len(addresses))
	for i, address := range addresses {
		list[i] = net.ParseIP(address).To4()
	}
	s.addresses[dns.CanonicalName(name)] = list
}

// Remove makes the name one that does not exist.
func (s *DNSServer) Remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.texts, dns.CanonicalName(name))
	delete(s.addresses, dns.CanonicalName(name))
}

// Fail makes every answer an error with the code, such as
// dns.RcodeServerFailure or dns.RcodeRefused; dns.RcodeSuccess ends that.
func (s *DNSServer) Fail(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = code
}

// Silence makes the server read questions and answer none, or ends that.
func (s *DNSServer) Silence(silent bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent = silent
}

// Questions returns how many questions have arrived.
func (s *DNSServer) Questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.questions
}

// Resolver returns a resolver that asks this server and no other.
func (s *DNSServer) Resolver() *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			dialer := net.Dialer{Timeout: 5 * time.Second}
			return dialer.DialContext(ctx, network, s.Addr)
		},
	}
}

func (s *DNSServer) answer(w dns.ResponseWriter, question *dns.Msg) {
	reply := s.reply(question)
	if reply == nil {
		return
	}
	if w.RemoteAddr().Network() == "udp" {
		size := dns.MinMsgSize
		if extension := question.IsEdns0(); extension != nil {
			size = int(extension.UDPSize())
		}
		reply.Truncate(size)
	}
	_ = w.WriteMsg(reply) // the client that went away is the one under test
}

func (s *DNSServer) reply(question *dns.Msg) *dns.Msg {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.questions++
	if s.silent {
		return nil
	}
	reply := new(dns.Msg)
	if s.failure != dns.RcodeSuccess || len(question.Question) != 1 {
		code := s.failure
		if code == dns.RcodeSuccess {
			code = dns.RcodeFormatError
		}
		return reply.SetRcode(question, code)
	}
	asked := question.Question[0]
	values, exists := s.texts[dns.CanonicalName(asked.Name)]
	addresses := s.addresses[dns.CanonicalName(asked.Name)]
	if !exists && len(addresses) == 0 {
		return reply.SetRcode(question, dns.RcodeNameError)
	}
	reply.SetReply(question)
	reply.Authoritative = true
	if asked.Qtype == dns.TypeA && len(addresses) > 0 {
		if len(addresses) > 1 {
			s.addresses[dns.CanonicalName(asked.Name)] = addresses[1:]
		}
		reply.Answer = append(reply.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}, A: addresses[0],
		})
	}
	if asked.Qtype != dns.TypeTXT {
		return reply
	}
	for _, value := range values {
		reply.Answer = append(reply.Answer, &dns.TXT{
			Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1},
			Txt: characterStrings(value),
		})
	}
	return reply
}

// characterStrings cuts a value into strings of at most 255 bytes, which is
// what one TXT record consists of (RFC 1035, section 3.3.14), and escapes what
// the library's presentation format gives a meaning.
func characterStrings(value string) []string {
	const limit = 255
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	var parts []string
	for len(value) > limit {
		parts = append(parts, escape.Replace(value[:limit]))
		value = value[limit:]
	}
	return append(parts, escape.Replace(value))
}
