package testenv_test

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
)

// greeter is a server that sends the same text to everyone and keeps listening.
func greeter(t *testing.T, text string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(conn, text)
			_, _ = io.Copy(io.Discard, conn) // until the client ends
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return listener.Addr().String()
}

func TestAProxyPassesCutsAndStalls(t *testing.T) {
	text := strings.Repeat("0123456789", 10_000)
	target := greeter(t, text)
	for _, tt := range []struct {
		name   string
		set    func(*testenv.Proxy)
		want   int
		stalls bool
	}{
		{"it passes everything on", (*testenv.Proxy).Pass, len(text), true},
		{"it cuts after the bytes it was told", func(p *testenv.Proxy) { p.CutAfter(50_001) }, 50_001, false},
		{"it can cut before the first byte", func(p *testenv.Proxy) { p.CutAfter(0) }, 0, false},
		{"it stalls after the bytes it was told", func(p *testenv.Proxy) { p.StallAfter(70_007) }, 70_007, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy := testenv.DropProxy(t, "ldap://"+target)
			tt.set(proxy)
			conn, err := net.Dial("tcp", proxy.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()

			got := make([]byte, tt.want)
			if _, err := io.ReadFull(conn, got); err != nil {
				t.Fatal(err)
			}
			if string(got) != text[:tt.want] {
				t.Error("the bytes are not those of the server")
			}
			if err := conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			n, err := conn.Read(make([]byte, 1))
			if stalled := errors.Is(err, os.ErrDeadlineExceeded); n != 0 || stalled != tt.stalls {
				t.Errorf("then: %d bytes, error %v; want stalled: %v", n, err, tt.stalls)
			}
			if proxy.FromServer() != int64(tt.want) || proxy.Connections() != 1 {
				t.Errorf("counted %d bytes and %d connections, want %d and 1", proxy.FromServer(), proxy.Connections(), tt.want)
			}

			proxy.CutNow()
			if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after CutNow: %v, want the end of the connection", err)
			}
		})
	}
}
