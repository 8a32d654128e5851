package testenv

import (
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy is a TCP proxy that can lose connections: it passes everything on,
// until it is told to end or to stall each connection after so many bytes.
type Proxy struct {
	Addr string // 127.0.0.1:PORT

	target   string
	listener net.Listener
	running  sync.WaitGroup

	fromServer  atomic.Int64
	connections atomic.Int64

	mu     sync.Mutex
	limit  limit
	open   map[*link]bool
	closed bool
}

// limit is what happens to a connection: after so many bytes from the server
// it is cut, or stalled. Negative: nothing happens.
type limit struct {
	bytes int64
	stall bool
}

// DropProxy starts a proxy to the target, which is host:port or a URL of one,
// such as ldap://127.0.0.1:389, and stops it at the end of the test.
func DropProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	if _, address, isURL := strings.Cut(target, "://"); isURL {
		target = strings.TrimSuffix(address, "/")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start a proxy: %v", err)
	}
	proxy := &Proxy{
		Addr: listener.Addr().String(), target: target, listener: listener,
		limit: limit{bytes: -1}, open: map[*link]bool{},
	}
	proxy.running.Go(proxy.accept)
	t.Cleanup(func() {
		if err := proxy.close(); err != nil {
			t.Errorf("stop the proxy: %v", err)
		}
	})
	return proxy
}

// CutAfter ends each connection made from now on as soon as that many bytes
// have come from the server: an end of file in the middle of an answer.
func (p *Proxy) CutAfter(bytes int64) { p.setLimit(limit{bytes: bytes}) }

// StallAfter keeps each connection made from now on open after that many bytes
// from the server, and passes no more.
func (p *Proxy) StallAfter(bytes int64) { p.setLimit(limit{bytes: bytes, stall: true}) }

// Pass lets connections made from now on live.
func (p *Proxy) Pass() { p.setLimit(limit{bytes: -1}) }

// CutNow ends all connections that are open.
func (p *Proxy) CutNow() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.end()
	}
}

// Connections returns how many connections there have been.
func (p *Proxy) Connections() int { return int(p.connections.Load()) }

// FromServer returns how many bytes have come from the server in all; after a
// whole read it says where the middle is.
func (p *Proxy) FromServer() int64 { return p.fromServer.Load() }

func (p *Proxy) setLimit(l limit) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = l
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil { // closed: the test is over
			return
		}
		p.connections.Add(1)
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil { // the client sees what it would see: nobody there
		_ = client.Close()
		return
	}
	l := &link{client: client, server: server, cut: make(chan struct{})}
	defer l.end()
	limit, ok := p.register(l)
	if !ok {
		return
	}
	defer p.forget(l)

	clientGone := make(chan struct{})
	p.running.Go(func() {
		defer close(clientGone)
		_, _ = io.Copy(server, client)
		_ = server.(*net.TCPConn).CloseWrite()
	})
	counted := io.TeeReader(server, countWriter{&p.fromServer})
	if limit.bytes < 0 {
		_, _ = io.Copy(client, counted)
		return
	}
	if _, err := io.CopyN(client, counted, limit.bytes); err == nil && limit.stall {
		select {
		case <-clientGone:
		case <-l.cut:
		}
	}
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn
	once           sync.Once
	cut            chan struct{} // closed by end
}

// end closes both sides; an error means that one had ended by itself.
func (l *link) end() {
	l.once.Do(func() {
		close(l.cut)
		_, _ = l.client.Close(), l.server.Close()
	})
}

// register makes the link known to CutNow, unless the test is over.
func (p *Proxy) register(l *link) (limit, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return limit{}, false
	}
	p.open[l] = true
	return p.limit, true
}

func (p *Proxy) forget(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, l)
}

// close ends everything and waits for it.
func (p *Proxy) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.CutNow()
	p.running.Wait()
	return err
}

type countWriter struct{ count *atomic.Int64 }

func (w countWriter) Write(b []byte) (int, error) {
	w.count.Add(int64(len(b)))
	return len(b), nil
}
