package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/provost-scim/provost/openapi"
)

// conforming is a transport that holds every request that the server takes, and every
// answer, against the specification, and notes which operations succeeded.
type conforming struct {
	t      *testing.T
	router routers.Router

	mu        sync.Mutex
	all, done map[string]bool // by operation id
}

func newConforming(t *testing.T) *conforming {
	t.Helper()
	doc, err := openapi.GetSpec()
	if err != nil {
		t.Fatal(err)
	}
	doc.OpenAPI = "3.0.3" // the validator of 3.0 says which field is wrong; the document keeps to both
	doc.Info.License, doc.Info.Summary = nil, ""
	c := &conforming{t: t, all: map[string]bool{}, done: map[string]bool{}}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			c.all[op.OperationID] = true
		}
	}
	if c.router, err = legacy.NewRouter(doc); err != nil {
		t.Fatal(err)
	}
	return c
}

// RoundTrip sends the request with the default transport.
func (c *conforming) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // it is read
	if err != nil {
		return nil, err
	}
	answer.Body = io.NopCloser(bytes.NewReader(got))
	same := r.Clone(r.Context())
	same.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery} // the specification names no host
	route, params, err := c.router.FindRoute(same)
	if err != nil {
		return answer, nil // no operation
	}
	same.Body = io.NopCloser(bytes.NewReader(sent))
	in := &openapi3filter.RequestValidationInput{
		Request: same, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	}
	if answer.StatusCode < http.StatusBadRequest {
		if err := openapi3filter.ValidateRequest(r.Context(), in); err != nil {
			c.t.Errorf("%s %s was taken against the specification: %v", r.Method, r.URL.Path, err)
		}
	}
	err = openapi3filter.ValidateResponse(r.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: answer.StatusCode, Header: answer.Header, Body: io.NopCloser(bytes.NewReader(got)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, ExcludeResponseBody: strings.HasPrefix(answer.Header.Get("Content-Type"), "application/x-ndjson")},
	})
	if err != nil {
		c.t.Errorf("%s %s answers %d against the specification: %v\n%s", r.Method, r.URL.Path, answer.StatusCode, err, got)
	}
	if answer.StatusCode < http.StatusMultipleChoices {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.done[route.Operation.OperationID] = true
	}
	return answer, nil
}

// untried are the operations that have not succeeded yet.
func (c *conforming) untried() (ids []string) {
	for id := range c.all {
		if !c.done[id] {
			ids = append(ids, id)
		}
	}
	return sorted(ids)
}

// caller calls the REST interface of a server with a conforming transport.
type caller struct {
	t     *testing.T
	base  string
	token string
	http  *http.Client
}

// call wants a status and returns the answer's JSON; body is JSON or empty.
func call[T any](c *caller, method, path, body string, want int) (out T) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if answer.StatusCode != want {
		c.t.Fatalf("%s %s answers %d, want %d: %s", method, path, answer.StatusCode, want, text)
	}
	if strings.Contains(answer.Header.Get("Content-Type"), "json") && !strings.Contains(answer.Header.Get("Content-Type"), "ndjson") && len(text) > 0 {
		return decode[T](c.t, string(text))
	}
	return out
}

// get reads each of the paths, which only have to keep to the specification.
func (c *caller) get(paths ...string) {
	c.t.Helper()
	for _, path := range paths {
		call[map[string]any](c, http.MethodGet, path, "", http.StatusOK)
	}
}

// ended waits for a run to wait for a person or to end.
func (c *caller) ended(id string) (run openapi.Run) {
	c.t.Helper()
	until(c.t, "the end of run "+id, func() bool {
		run = call[openapi.Run](c, http.MethodGet, "/runs/"+id+"?findings=true", "", http.StatusOK)
		switch run.State {
		case openapi.RunStatePlanned:
			return run.Phase == openapi.RunPhaseReady
		case openapi.RunStateRunning:
			return false
		}
		return true
	})
	return run
}

// started starts a run and waits for it.
func (c *caller) started(path, body string, want openapi.RunState) openapi.Run {
	c.t.Helper()
	run := c.ended(call[openapi.Run](c, http.MethodPost, path, body, http.StatusAccepted).ID)
	if run.State != want {
		c.t.Fatalf("POST %s ends %s, want %s: %s", path, run.State, want, run.Error)
	}
	return run
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }
