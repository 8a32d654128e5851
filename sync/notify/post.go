package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/provost-scim/provost/store"
)

const (
	keptResponse = 1024     // bytes of an answer's body that are kept
	readResponse = 64 << 10 // bytes that are read so that the connection can be used again
)

// hookMessage is what is posted to an endpoint.
type hookMessage struct {
	id   string
	body []byte
}

// post makes one request. again is how long the endpoint asks to be left alone; 0: it
// does not say.
func (w *Webhooks) post(ctx context.Context, to *target, m hookMessage) (a store.Attempt, again time.Duration) {
	begun := time.Now()
	a.At = w.now()
	defer func() { a.Millis = time.Since(begun).Milliseconds() }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(m.body))
	if err != nil {
		a.Error = "the URL cannot be used"
		return a, 0
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "Provost-Webhooks/1")
	sign(r.Header, m.id, a.At, m.body, to.keys)
	answer, err := w.client.Do(r)
	if err != nil {
		a.Error = reason(err)
		return a, 0
	}
	defer answer.Body.Close()
	a.Status = answer.StatusCode
	kept, err := io.ReadAll(io.LimitReader(answer.Body, keptResponse))
	if err == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(answer.Body, readResponse))
	}
	a.Response = text(kept)
	switch {
	case a.Ended(): // what follows the status changes nothing
	case a.Status >= 300 && a.Status < 400:
		a.Error = "it redirects, which is not followed: give the endpoint the URL where it is"
	case err != nil:
		a.Error = reason(err)
	default:
		a.Error = answer.Status
	}
	return a, retryAfter(answer, a.At)
}

// retryAfter reads the header (RFC 9110 section 10.2.3), which is believed up to the
// longest wait there is.
func retryAfter(r *http.Response, now time.Time) time.Duration {
	value := r.Header.Get("Retry-After")
	if value == "" || r.StatusCode < 400 {
		return 0
	}
	wait := time.Duration(0)
	if seconds, err := strconv.Atoi(value); err == nil {
		wait = time.Duration(min(max(seconds, 0), int(longestWait/time.Second))) * time.Second
	} else if at, err := http.ParseTime(value); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), longestWait)
}

// reason says why there was no answer, without the URL, which may hold a secret.
func reason(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		if u.Timeout() {
			return "no answer in time"
		}
		err = u.Err
	}
	return clean(err.Error())
}

// text is the beginning of a body for people: valid, and without what a terminal or a
// database would not take.
func text(b []byte) string {
	s := strings.ToValidUTF8(string(b), "\uFFFD")
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '\uFFFD'
		}
		return r
	}, s)
	for len(s) > keptResponse {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
