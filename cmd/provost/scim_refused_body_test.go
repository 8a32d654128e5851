package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
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
		}{
			{"more than the most", "/Users", "application/scim+json", `{"userName":"`, 9, http.StatusRequestEntityTooLarge},
			{"another form", "/Users", "text/plain", `{"userName":"`, 7, http.StatusUnsupportedMediaType},
			{"a Bulk that is broken where it begins", "/Bulk", "application/scim+json", `{"schemas":]`, 7, http.StatusBadRequest},
			{"a path that is not there", "/Nothing", "application/scim+json", `{`, 7, http.StatusNotFound},
		} {
			t.Run(tt.name, func(t *testing.T) {
				var dialer net.Dialer
				c, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = c.Close() }()
				if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				body := tt.begin + strings.Repeat("x", tt.megabytes<<20-len(tt.begin))
				if _, err := fmt.Fprintf(c, "POST /scim/v2%s HTTP/1.1\r\nHost: provost\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s",
					tt.path, w.token, tt.contentType, len(body), body); err != nil {
					t.Fatalf("sending the body: %v", err)
				}
				a, err := answerOf(http.ReadResponse(bufio.NewReader(c), nil))
				if err != nil {
					t.Fatal(err)
				}
				if a.status != tt.status || a.text("status") != fmt.Sprint(tt.status) {
					t.Errorf("answered %d %s, want %d", a.status, a.raw, tt.status)
				}
			})
		}
	})
}
