package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/store"
)

// IdempotencyKeep is for how long a repeated request has the answer of the first.
const IdempotencyKeep = 24 * time.Hour

// idempotencyHeader carries a client's key, and replayedHeader marks the answer to a
// request that was not made again.
const (
	idempotencyHeader = "Idempotency-Key"
	replayedHeader    = "Idempotency-Replayed"
)

// answerTime is how long it may take to keep an answer, whether or not the client
// still waits for it.
const answerTime = 10 * time.Second

// keptHeaders are what of an answer's header is repeated with it.
var keptHeaders = []string{echo.HeaderContentType, "ETag", echo.HeaderLocation}

// repeat answers a request with an Idempotency-Key that was answered before like the
// first, and makes it otherwise.
//
// The key is claimed before the request is made and the answer kept after it, so one
// whose process died in between, or whose outcome is not known for another reason, is
// never made again: it is 409 until the key is purged.
func (s *Server) repeat(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := s.operation(c)
		r := c.Request()
		if !op.idempotent || len(r.Header.Values(idempotencyHeader)) == 0 {
			return next(c)
		}
		k, err := s.keyOf(r)
		if err != nil {
			return err
		}
		var earlier *store.IdempotencyKey
		err = s.Store.Update(r.Context(), func(tx store.Tx) error {
			earlier, err = tx.ClaimIdempotencyKey(r.Context(), k)
			return err
		})
		if err != nil {
			return err
		}
		if earlier != nil {
			return s.replay(c, k, earlier)
		}
		return s.first(c, op, k, next)
	}
}

// keyOf names the request and whom it is from. Two callers may use the same key.
func (s *Server) keyOf(r *http.Request) (*store.IdempotencyKey, error) {
	key := r.Header.Get(idempotencyHeader)
	if key == "" {
		return nil, invalid(idempotencyHeader, "send a new UUID, or leave the header out", "%s is empty", idempotencyHeader)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var compact bytes.Buffer
	if json.Compact(&compact, body) == nil {
		body = compact.Bytes()
	}
	who := auth.PrincipalOf(r.Context()).Actor()
	return &store.IdempotencyKey{
		Org:  requestOf(r.Context()).org,
		Hash: hashOf(who.Kind, who.ID, key), Request: hashOf(r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(body)),
		CreatedAt: s.now(),
	}, nil
}

// hashOf is one hash of several texts, of which none can pass for a part of another.
func hashOf(parts ...string) []byte {
	h := sha256.New()
	for _, p := range parts {
		inner := sha256.Sum256([]byte(p))
		h.Write(inner[:])
	}
	return h.Sum(nil)
}

// first makes the request and keeps its answer before the client sees it.
func (s *Server) first(c echo.Context, op *operation, k *store.IdempotencyKey, next echo.HandlerFunc) error {
	// Whatever becomes of the client, what became of the request is written down.
	keep := func(fn func(context.Context, store.Tx) error) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), answerTime)
		defer cancel()
		return s.Store.Update(ctx, func(tx store.Tx) error { return fn(ctx, tx) })
	}
	client := c.Response().Writer
	answer, err := hold(c, next)
	if err != nil {
		if status := kinds[asError(err).Code].status; status == http.StatusServiceUnavailable || status != 0 && status < http.StatusInternalServerError {
			// Refused, and so nothing was done: the key can be used again.
			if err := keep(func(ctx context.Context, tx store.Tx) error { return tx.ReleaseIdempotencyKey(ctx, k) }); err != nil {
				s.Log.ErrorContext(c.Request().Context(), "give up an idempotency key", "error", err, "request", requestID(c.Request().Context()))
			}
		}
		return err
	}
	k.Status, k.Header = answer.status, map[string][]string{}
	for _, name := range keptHeaders {
		if v := answer.header.Values(name); len(v) > 0 {
			k.Header[http.CanonicalHeaderKey(name)] = v
		}
	}
	if !op.secret {
		k.Body = append([]byte{}, answer.body.Bytes()...)
	}
	if err := keep(func(ctx context.Context, tx store.Tx) error { return tx.AnswerIdempotencyKey(ctx, k) }); err != nil {
		// It is done, and the client should know; one who repeats it learns that it is.
		s.Log.ErrorContext(c.Request().Context(), "keep the answer of an idempotency key", "error", err, "request", requestID(c.Request().Context()))
	}
	client.WriteHeader(answer.status)
	_, err = client.Write(answer.body.Bytes())
	return err
}

// hold makes the request, whose answer waits.
func hold(c echo.Context, next echo.HandlerFunc) (*held, error) {
	client := c.Response().Writer
	defer func() { c.Response().Writer = client }() // also of a panic, which has an answer too
	answer := &held{header: client.Header()}
	c.Response().Writer = answer
	return answer, next(c)
}

// replay answers for a request that was made before, or refuses.
func (s *Server) replay(c echo.Context, k, earlier *store.IdempotencyKey) error {
	refuse := func(code store.Code, message, hint string) error {
		return &store.Error{Code: code, Field: idempotencyHeader, Message: message, Hint: hint}
	}
	switch {
	case !bytes.Equal(k.Request, earlier.Request):
		return refuse(codeKeyReused, "the key was used for another request", "use a new key for each request")
	case earlier.Status == 0 && k.CreatedAt.Sub(earlier.CreatedAt) < s.Timeout+answerTime:
		return refuse(codeKeyInUse, "the first request with this key is going on", "try again in a moment")
	case earlier.Status == 0:
		return refuse(codeKeySpent, "it is not known what became of the first request with this key",
			"look whether it took effect; to make it again, use a new key")
	case earlier.Body == nil:
		return refuse(codeKeySpent, "the first request with this key succeeded, and its answer had a secret, which is not kept",
			"revoke what it made and make another with a new key, if its answer was lost")
	}
	maps.Copy(c.Response().Header(), earlier.Header)
	c.Response().Header().Set(replayedHeader, "true")
	return c.Blob(earlier.Status, http.Header(earlier.Header).Get(echo.HeaderContentType), earlier.Body)
}

// held is an answer that is not sent yet.
type held struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (h *held) Header() http.Header { return h.header }

func (h *held) WriteHeader(status int) { h.status = status }

func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }
