package bench

import (
	"bufio"
	"net"
	"net/http"
	"net/url"
	"testing"
	"time"
)

// answerTimeout bounds one request and its answer.
const answerTimeout = time.Minute

// connection is an [http.RoundTripper] on one connection, for one client that waits for
// each answer and reads it to its end. Client and server share the cores, so what the
// client spends counts against Provost, and net/http's Transport passes each request
// and each answer between three goroutines. The connections of a floor do not either.
type connection struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

// RoundTrip sends a request and reads the head of its answer.
func (c *connection) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	if err := r.Write(c.out); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.in, r)
}

// connected returns clients with the same token and a connection each, until the
// benchmark ends.
func (c *scimClient) connected(b *testing.B) (out [clients]*scimClient) {
	b.Helper()
	base, err := url.Parse(c.base)
	if err != nil {
		b.Fatal(err)
	}
	var d net.Dialer
	for i := range out {
		conn, err := d.DialContext(b.Context(), "tcp", base.Host)
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = conn.Close() }) // nobody waits for an answer any more
		one := *c
		one.http = &http.Client{Transport: &connection{conn, bufio.NewReader(conn), bufio.NewWriter(conn)}}
		out[i] = &one
	}
	return out
}
