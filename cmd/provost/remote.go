package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/provost-scim/provost/openapi"
)

// remote are the flags of every command that speaks REST.
type remote struct {
	Server       string `variable:"URL" default:"http://127.0.0.1:8080" placeholder:"URL" group:"server" help:"Where the server is."`
	Token        string `placeholder:"SECRET" group:"server" help:"The administrator's token; better in the environment, where other users of the machine do not see it."`
	Organization string `placeholder:"NAME" group:"server" help:"The organization, by name or id; needed only where there are several."`
	JSON         bool   `name:"json" group:"output" help:"Print JSON for programs; lists are arrays."`
	Quiet        bool   `short:"q" group:"output" help:"Print only what is needed to go on: ids of what is listed or made, and errors."`
}

// How long one request may take: the time that the server gives itself.
const (
	callTimeout   = 2 * time.Minute
	deleteTimeout = 15 * time.Minute // of a directory, with all its users and groups
)

// pageSize is the most items the server gives in one page.
const pageSize = 1000

// api returns a client of the server's REST interface.
func (r *remote) api() (*openapi.ClientWithResponses, error) { return r.apiWithin(callTimeout) }

// apiWithin is api for calls that may take another time.
func (r *remote) apiWithin(timeout time.Duration) (*openapi.ClientWithResponses, error) {
	u, err := url.Parse(r.Server)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, misused("set PROVOST_URL or --server, such as http://127.0.0.1:8080", "server %q is not an http or https URL", r.Server)
	}
	if r.Token == "" {
		return nil, failed("export PROVOST_TOKEN=$(provost admin token create) where the database is, or ask an owner for a token",
			"no token to call %s with", u.Redacted())
	}
	client := &http.Client{
		Timeout:   timeout,
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second},
	}
	return openapi.NewClientWithResponses(strings.TrimSuffix(r.Server, "/")+"/api/v1",
		openapi.WithHTTPClient(client),
		openapi.WithRequestEditorFn(func(_ context.Context, req *http.Request) error {
			req.Header.Set("Authorization", "Bearer "+r.Token)
			req.Header.Set("User-Agent", "provost/"+versionText())
			if r.Organization != "" {
				req.Header.Set("Provost-Organization", r.Organization)
			}
			return nil
		}))
}

// response is what the generated client returns of any call.
type response interface {
	StatusCode() int
	GetBody() []byte
	GetApplicationProblemJSONDefault() *openapi.Failed
}

// answer turns the two results of a call into its body and a failure for people:
//
//	user, err := answer((*openapi.GetUserResponse).GetJSON200)(api.GetUserWithResponse(ctx, ref, nil))
func answer[R response, T any](body func(R) *T) func(R, error) (*T, error) {
	return func(r R, err error) (*T, error) {
		if err := done(r, err); err != nil {
			return nil, err
		}
		if b := body(r); b != nil {
			return b, nil
		}
		return nil, failed("PROVOST_URL must be the address of a Provost server", "the server answered %d without the expected document", r.StatusCode())
	}
}

// done is answer for a call that returns no body.
func done[R response](r R, err error) error {
	if err != nil {
		return unreachable(err)
	}
	if r.StatusCode() < 300 {
		return nil
	}
	p := r.GetApplicationProblemJSONDefault()
	if p == nil || p.Detail == "" {
		switch r.StatusCode() {
		case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout: // a proxy whose server is away
			return &noAnswer{failure{code: exitError, message: fmt.Sprintf("no answer from the server: %d %s", r.StatusCode(), http.StatusText(r.StatusCode()))}}
		}
		return failed("PROVOST_URL must be the address of a Provost server", "the server answered %d %s", r.StatusCode(), http.StatusText(r.StatusCode()))
	}
	f := &refusal{failure: failure{code: exitError, message: p.Detail, hint: p.Hint}, kind: strings.TrimPrefix(p.Type, "urn:provost:problem:")}
	if f.hint == "" && p.Status == http.StatusUnauthorized {
		f.hint = "PROVOST_TOKEN must be a valid token of an administrator; `provost admin token create` makes one"
	}
	if p.RequestID != "" && p.Status >= http.StatusInternalServerError {
		f.message += fmt.Sprintf(" (request %s in the server's log)", p.RequestID)
	}
	return f
}

// refusal is a failure that the server explained. kind is the stable part of the
// problem's type.
type refusal struct {
	failure
	kind string
}

// As lets [report] see the failure.
func (r *refusal) As(target any) bool {
	f, ok := target.(**failure)
	if ok {
		*f = &r.failure
	}
	return ok
}

// noAnswer is a call that got no answer at all.
type noAnswer struct{ failure }

// As lets [report] see the failure.
func (n *noAnswer) As(target any) bool {
	f, ok := target.(**failure)
	if ok {
		*f = &n.failure
	}
	return ok
}

func unreachable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	var u *url.Error
	var broken *net.OpError
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &broken) && !errors.As(err, &u) {
		return &noAnswer{failure{code: exitError, message: fmt.Sprintf("the server's answer broke off: %v", err)}}
	}
	if !errors.As(err, &u) {
		return fmt.Errorf("call the server: %w", err)
	}
	where := u.URL
	if p, parseErr := url.Parse(u.URL); parseErr == nil {
		where = p.Scheme + "://" + p.Host
	}
	return &noAnswer{failure{
		code:    exitError,
		message: fmt.Sprintf("no answer from %s: %v", where, u.Err),
		hint:    "is `provost serve` running there? PROVOST_URL says where the server is",
	}}
}

// none is an optional text that is left out when it is empty.
func none(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// pages reads a list to its end, page by page, and hands every item on. limit
// stops it after so many; 0 reads all.
func pages[T any](limit int, page func(cursor *string, size int) (items []T, next string, err error), each func(*T) error) error {
	var cursor *string
	for seen := 0; ; {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-seen)
		}
		items, next, err := page(cursor, size)
		if err != nil {
			return err
		}
		for i := range items {
			if err := each(&items[i]); err != nil {
				return err
			}
		}
		seen += len(items)
		if next == "" || (limit > 0 && seen >= limit) {
			return nil
		}
		cursor = &next
	}
}
