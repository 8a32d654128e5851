package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/provost-scim/provost/internal/testenv"
)

// TestMain makes the program a command of test scripts, and stops the servers that
// tests share.
func TestMain(m *testing.M) {
	testscript.Main(testenv.Wrap(m), map[string]func(){"provost": main})
}

// provostServer is the real program, serving inside the test.
type provostServer struct {
	url    string // http://127.0.0.1:PORT
	token  string // of an owner of the whole instance
	dsn    string
	stderr *lines
	stop   func() error // as SIGTERM does; may be called again
}

// startProvost serves on a free port until the test ends, with a database in a
// temporary folder; or, if args have --database DSN, on that one. Further args are
// flags of `provost serve`.
//
//	p := startProvost(t)
//	p := startProvost(t, "--database", testenv.Postgres(t).Database(t, migrate), "--cap", "4")
func startProvost(t testing.TB, args ...string) *provostServer {
	t.Helper()
	p, err := bootProvost(t.TempDir(), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.stop(); err != nil {
			t.Errorf("stop provost: %v", err)
		}
		if t.Failed() {
			t.Logf("provost wrote:\n%s", p.stderr)
		}
	})
	return p
}

// bootTime is how long the program may take to start, and to stop.
const bootTime = 30 * time.Second

// bootProvost is startProvost for those who have no *testing.T.
func bootProvost(dir string, args ...string) (*provostServer, error) {
	dsn := "sqlite:" + filepath.Join(dir, "provost.db")
	given := false
	for i, a := range args {
		if a == "--database" && i+1 < len(args) {
			dsn, given = args[i+1], true
		}
	}
	if !given {
		args = append(args, "--database", dsn)
	}
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--drain-within", "0", "--secret-key-file", filepath.Join(dir, "secret.key")}, args...)

	var token bytes.Buffer
	stderr := newLines()
	if code := realMain(context.Background(), []string{"admin", "token", "create", "--database", dsn}, strings.NewReader(""), &token, stderr, noEnvironment); code != 0 {
		return nil, fmt.Errorf("admin token create exited with %d:\n%s", code, stderr)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	go func() { ended <- realMain(ctx, args, strings.NewReader(""), &bytes.Buffer{}, stderr, noEnvironment) }()
	p := &provostServer{token: strings.TrimSpace(token.String()), dsn: dsn, stderr: stderr}
	p.stop = sync.OnceValue(func() error {
		cancel()
		select {
		case code := <-ended:
			if code != 0 {
				return fmt.Errorf("serve exited with %d", code)
			}
			return nil
		case <-time.After(bootTime):
			return errors.New("serve did not stop")
		}
	})
	select {
	case p.url = <-stderr.listening:
		return p, nil
	case code := <-ended:
		cancel()
		return nil, fmt.Errorf("serve exited with %d:\n%s", code, stderr)
	case <-time.After(bootTime):
		return nil, errors.Join(fmt.Errorf("serve did not listen:\n%s", stderr), p.stop())
	}
}

// run runs one command of the program against the server.
func (p *provostServer) run(t testing.TB, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = realMain(t.Context(), args, strings.NewReader(""), &out, &err, func(name string) (string, bool) {
		value, ok := map[string]string{"PROVOST_URL": p.url, "PROVOST_TOKEN": p.token, "PROVOST_DATABASE": p.dsn}[name]
		return value, ok
	})
	return out.String(), err.String(), code
}

// must is run for a command that has to succeed; it returns what was printed,
// without the last line break.
func (p *provostServer) must(t testing.TB, args ...string) string {
	t.Helper()
	stdout, stderr, code := p.run(t, args...)
	if code != 0 {
		t.Fatalf("provost %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return strings.TrimSuffix(stdout, "\n")
}

func noEnvironment(string) (string, bool) { return "", false }

// lines is what a program has written so far, and the URL that it said it listens
// on.
type lines struct {
	mu        sync.Mutex
	text      bytes.Buffer
	listening chan string
	said      bool
}

func newLines() *lines { return &lines{listening: make(chan string, 1)} }

var listeningOn = regexp.MustCompile(`(?m)^listening on (\S+)$`)

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n, err := l.text.Write(b)
	if m := listeningOn.FindSubmatch(l.text.Bytes()); !l.said && m != nil {
		l.said = true
		l.listening <- string(m[1])
	}
	return n, err
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
