package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/openapi"
)

// busyClient is a client that keeps its connection and creates one user after the other.
type busyClient struct {
	acknowledged []string // user names
	failures     []string // of requests on a connection that the server had taken
	answers      int
	refused      bool // no connection any more
}

// work creates users until the server takes no more connections. A connection that is
// refused or reset before an answer is one that the server has not taken.
func (c *busyClient) work(ctx context.Context, url, token, name string, begun *atomic.Int64) {
	transport := &http.Transport{MaxIdleConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	for i := 0; ctx.Err() == nil; i++ {
		user := fmt.Sprintf("%s-%d@example.com", name, i)
		body := `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"` + user + `","active":true}`
		kept := false
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { kept = info.Reused }})
		req, err := http.NewRequestWithContext(traced, http.MethodPost, url+"/scim/v2/Users", io.NopCloser(strings.NewReader(body))) // which cannot be sent again
		if err != nil {
			c.failures = append(c.failures, err.Error())
			return
		}
		req.ContentLength = int64(len(body))
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Content-Type", "application/scim+json")
		resp, err := client.Do(req)
		var dial *net.OpError
		switch {
		case err != nil && !kept && (errors.As(err, &dial) && dial.Op == "dial" || errors.Is(err, syscall.ECONNRESET)):
			c.refused = true
			return
		case err != nil:
			c.failures = append(c.failures, fmt.Sprintf("%s (connection kept: %t): %v", user, kept, err))
			return
		}
		text, err := io.ReadAll(resp.Body)
		if err := errors.Join(err, resp.Body.Close()); err != nil || resp.StatusCode != http.StatusCreated {
			c.failures = append(c.failures, fmt.Sprintf("%s: %d %s %v", user, resp.StatusCode, text, err))
			return
		}
		c.answers++
		begun.Add(1)
		c.acknowledged = append(c.acknowledged, user)
	}
}

func TestStoppingUnderLoadFailsNoRequest(t *testing.T) {
	t.Parallel()
	p := startProvost(t, "--drain-within", "700ms")
	p.must(t, "directory", "create", "okta", "--kind", "scim", "--domain-policy", "off")
	secret := p.must(t, "token", "create", "--directory", "okta")

	// One client has a connection and says nothing until the server has begun to stop.
	idle, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	answers := bufio.NewReader(idle)
	ready := func(status int, last bool) {
		t.Helper()
		fmt.Fprintf(idle, "GET /readyz HTTP/1.1\r\nHost: test\r\n\r\n")
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != status || resp.Close != last {
			t.Errorf("/readyz is %d, and the last answer of its connection: %t; want %d, %t", resp.StatusCode, resp.Close, status, last)
		}
	}
	ready(http.StatusOK, false)

	var begun atomic.Int64
	clients := make([]busyClient, 8)
	var working sync.WaitGroup
	for i := range clients {
		working.Go(func() { clients[i].work(t.Context(), p.url, secret, fmt.Sprintf("client%d", i), &begun) })
	}
	until(t, "all clients are busy", func() bool { return begun.Load() > 200 })
	before := begun.Load()
	stopped := make(chan error, 1)
	go func() { stopped <- p.stop() }()
	until(t, "the server says that it stops", func() bool { return strings.Contains(p.stderr.String(), "stopping") })
	ready(http.StatusServiceUnavailable, true)
	working.Wait()
	if err := <-stopped; err != nil {
		t.Error(err)
	}

	acknowledged := map[string]bool{}
	for i := range clients {
		c := &clients[i]
		for _, failure := range c.failures {
			t.Errorf("client %d: %s", i, failure)
		}
		if !c.refused {
			t.Errorf("client %d ended before the server did", i)
		}
		for _, user := range c.acknowledged {
			acknowledged[user] = true
		}
	}
	if after := begun.Load(); after == before {
		t.Error("nobody was served while the server was stopping")
	}
	// What was answered is there, and nothing else is: no request was half done.
	again := startProvost(t, "--database", p.dsn)
	stored := map[string]bool{}
	for _, user := range decode[[]openapi.User](t, again.must(t, "user", "list", "--json")) {
		stored[user.UserName] = true
	}
	if diff := cmp.Diff(acknowledged, stored); diff != "" {
		t.Errorf("users (-acknowledged +stored):\n%s", diff)
	}
	t.Logf("%d users before the signal, %d after it", before, begun.Load()-before)
}

func TestAServerWithoutClientsStopsAtOnce(t *testing.T) {
	t.Parallel()
	p := startProvost(t, "--drain-within", "1h")
	fetch(t, http.MethodGet, p.url+"/healthz", "", "")
	http.DefaultClient.CloseIdleConnections()
	p.stopNow(t) // waits less than an hour
}

// A client whose connection was closed by its answer comes back at once. Were that taken
// for having left, its next connection could be reset.
func TestAClientThatComesBackWhileClientsLeaveIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDrain()
		first, second := &net.TCPConn{}, &net.TCPConn{}
		d.watch(first, http.StateActive)
		left := make(chan struct{})
		begun := time.Now()
		go func() {
			defer close(left)
			d.clients(time.Minute)
		}()
		synctest.Wait()
		d.watch(first, http.StateClosed)
		synctest.Wait() // it knows that nobody is connected
		d.watch(second, http.StateNew)
		time.Sleep(10 * time.Second) // of the bubble's clock
		select {
		case <-left:
			t.Fatal("a client is connected, and was not waited for")
		default:
		}
		d.watch(second, http.StateClosed)
		<-left
		if waited := time.Since(begun); waited >= time.Minute {
			t.Errorf("all have left, and it waited %s", waited)
		}
	})
}
