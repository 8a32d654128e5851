package main

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/provost-scim/provost/openapi"
)

// witness is a stderr that tells when something was written to it.
type witness struct {
	bytes.Buffer
	written chan struct{}
}

func (s *witness) Write(p []byte) (int, error) {
	defer func() {
		select {
		case s.written <- struct{}{}:
		default:
		}
	}()
	return s.Buffer.Write(p)
}

func TestWaitingForARunOutlastsARestartOfTheServer(t *testing.T) {
	t.Parallel()
	const id = "01890a5d-ac96-774b-bcce-b302099a8057"
	seen := make(chan struct{}, 1)
	var asked atomic.Int64
	serve := func(address string, state openapi.RunState) (*http.Server, string) {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:gosec // it lives as long as the test
			asked.Add(1)
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprintf(w, ": beat\n\nevent: run.progress\ndata: {\"id\":%q,\"state\":%q,\"phase\":\"apply\",\"directory\":\"corp\"}\n\n", id, state)
			_ = http.NewResponseController(w).Flush()
			select {
			case seen <- struct{}{}:
			default:
			}
			<-r.Context().Done()
		})}
		go func() { _ = server.Serve(listener) }()
		return server, listener.Addr().String()
	}
	first, address := serve("127.0.0.1:0", openapi.RunStateRunning)

	stderr := &witness{written: make(chan struct{}, 1)}
	r := &remote{Server: "http://" + address, Token: "pvt_x"}
	type result struct {
		run *openapi.Run
		err error
	}
	done := make(chan result, 1)
	go func() {
		run, err := watch(&session{ctx: t.Context(), stderr: stderr}, r, id)
		done <- result{run, err}
	}()
	<-seen
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-stderr.written: // it has met the silence
	case got := <-done:
		t.Fatalf("it gave up when the server went away: %+v", got)
	}
	second, _ := serve(address, openapi.RunStateSucceeded)
	t.Cleanup(func() { _ = second.Close() })
	got := <-done
	if got.err != nil || got.run.State != openapi.RunStateSucceeded {
		t.Fatalf("it ends with %+v, %v", got.run, got.err)
	}
	if n := asked.Load(); n != 2 {
		t.Errorf("it asked %d times; each server was to tell it by itself", n)
	}
	if text := stderr.String(); strings.Count(text, "waiting up to 60 seconds") != 1 || !strings.Contains(text, address) {
		t.Errorf("it said %q", text)
	}
}
