package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strings"
	"testing"
	"time"
)

// TestAClientThatSendsAllOfItsBodyFirstReadsWhyItIsRefused is the client of many
// libraries: it reads the answer when it has sent everything, and loses it if the
// connection breaks before.
func TestAClientThatSendsAllOfItsBodyFirstReadsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	onBothEngines(t, func(t *testing.T, w *scimWorld) {
		for _, tt := range []struct {
			name, path, contentType, begin string
			megabytes, status              int
			chunked                        bool
		}{
			{"more than the most", "/scim/v2/Users", "application/scim+json", `{"userName":"`, 9, http.StatusRequestEntityTooLarge, false},
			{"much more", "/scim/v2/Users", "application/scim+json", `{"userName":"`, 40, http.StatusRequestEntityTooLarge, false},
			{"much more without saying how much", "/scim/v2/Users", "application/scim+json", `{"userName":"`, 40, http.StatusRequestEntityTooLarge, true},
			{"a Bulk of much more", "/scim/v2/Bulk", "application/scim+json", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"`, 12, http.StatusRequestEntityTooLarge, true},
			{"another form", "/scim/v2/Users", "text/plain", `{"userName":"`, 7, http.StatusUnsupportedMediaType, false},
			{"a Bulk that is broken where it begins", "/scim/v2/Bulk", "application/scim+json", `{"schemas":]`, 7, http.StatusBadRequest, false},
			{"a path that is not there", "/scim/v2/Nothing", "application/scim+json", `{`, 7, http.StatusNotFound, false},
			{"a method that is not there", "/scim/v2/Schemas", "application/scim+json", `{`, 12, http.StatusMethodNotAllowed, false},
			{"more than REST takes", "/api/v1/groups", "application/json", `{"display_name":"`, 12, http.StatusRequestEntityTooLarge, false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				c := dialProvost(t, w)
				token := w.token
				if strings.HasPrefix(tt.path, "/api/") {
					token = w.server.token
				}
				length := fmt.Sprintf("Content-Length: %d", tt.megabytes<<20)
				if tt.chunked {
					length = "Transfer-Encoding: chunked"
				}
				begin := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: provost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s\r\n\r\n", tt.path, token, tt.contentType, length)
				body := io.LimitReader(io.MultiReader(strings.NewReader(tt.begin), endless{}), int64(tt.megabytes)<<20)
				if err := sendBody(c, begin, body, tt.chunked); err != nil {
					t.Fatalf("sending the body: %v", err)
				}
				a, err := answerOf(http.ReadResponse(bufio.NewReader(c), nil))
				if err != nil {
					t.Fatal(err)
				}
				if a.status != tt.status || fmt.Sprint(a.get("status")) != fmt.Sprint(tt.status) {
					t.Errorf("answered %d %s, want %d", a.status, a.raw, tt.status)
				}
			})
		}
	})
}

func sendBody(to io.Writer, begin string, body io.Reader, chunked bool) error {
	if _, err := io.WriteString(to, begin); err != nil {
		return err
	}
	if !chunked {
		_, err := io.Copy(to, body)
		return err
	}
	chunks := httputil.NewChunkedWriter(to)
	if _, err := io.Copy(chunks, body); err != nil {
		return err
	}
	if err := chunks.Close(); err != nil {
		return err
	}
	_, err := io.WriteString(to, "\r\n")
	return err
}

// TestNobodyIsWaitedForWhoNeedNotSendABody is the other side: an answer that comes at
// once to a client that waits before it sends, and to one that has no token.
func TestNobodyIsWaitedForWhoNeedNotSendABody(t *testing.T) {
	t.Parallel()
	w := newSCIMWorld(t, "sqlite:"+t.TempDir()+"/provost.db")
	for _, tt := range []struct {
		name, header string
		status       int
	}{
		{"a client that asks before it sends", "Authorization: Bearer " + w.token + "\r\nExpect: 100-continue", http.StatusRequestEntityTooLarge},
		{"a client without a token", "Accept: */*", http.StatusUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialProvost(t, w)
			begin := time.Now()
			if _, err := fmt.Fprintf(c, "POST /scim/v2/Users HTTP/1.1\r\nHost: provost\r\n%s\r\nContent-Length: 20000000\r\n\r\n", tt.header); err != nil {
				t.Fatal(err)
			}
			a, err := answerOf(http.ReadResponse(bufio.NewReader(c), nil))
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(begin); a.status != tt.status || took >= restTime {
				t.Errorf("answered %d %s after %s, want %d at once", a.status, a.raw, took, tt.status)
			}
		})
	}
}

// dialProvost opens a connection that ends with the test.
func dialProvost(t *testing.T, w *scimWorld) net.Conn {
	t.Helper()
	var dialer net.Dialer
	c, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return c
}
