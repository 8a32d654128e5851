package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	readyTimeout = time.Minute // a first start migrates
	stopTimeout  = time.Minute
)

// provost is one running server with a database of its own, and the command that
// talks to it.
type provost struct {
	b      *testing.B
	bin    string
	dir    string
	dsn    string
	url    string
	token  string // an administrator's
	server *exec.Cmd
	ended  chan struct{}
}

// newProvost starts a server on the database and makes an administrator's token.
// It is stopped when the benchmark ends.
func newProvost(b *testing.B, dsn string) *provost {
	b.Helper()
	p := &provost{b: b, bin: binary(b), dir: b.TempDir(), dsn: dsn}
	b.Cleanup(p.stop)
	p.start()
	p.token = strings.TrimSpace(p.command("admin", "token", "create", "--database", dsn))
	return p
}

// start starts the server and waits until it is ready.
func (p *provost) start() {
	p.b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		p.b.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		p.b.Fatal(err)
	}
	log, err := os.OpenFile(p.log(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		p.b.Fatal(err)
	}
	defer log.Close()
	p.url = "http://" + address
	p.server = exec.Command(p.bin, "serve", "--database", p.dsn, "--listen", address)
	p.server.Dir, p.server.Env, p.server.Stdout, p.server.Stderr = p.dir, p.environment(), log, log
	if err := p.server.Start(); err != nil {
		p.b.Fatalf("start provost: %v", err)
	}
	p.ended = make(chan struct{})
	go func(server *exec.Cmd, ended chan struct{}) {
		_ = server.Wait() // how it ended is in its ProcessState
		close(ended)
	}(p.server, p.ended)
	p.ready()
}

func (p *provost) ready() {
	p.b.Helper()
	ctx, cancel := context.WithTimeout(p.b.Context(), readyTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/readyz", http.NoBody)
		if err != nil {
			p.b.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-p.ended:
			p.b.Fatalf("provost ended (%s):\n%s", p.server.ProcessState, p.logged())
		case <-ctx.Done():
			p.b.Fatalf("provost was not ready within %s:\n%s", readyTimeout, p.logged())
		case <-tick.C:
		}
	}
}

// stop asks the server to end and waits. Stopping twice is no error.
func (p *provost) stop() {
	if p.server == nil {
		return
	}
	server := p.server
	p.server = nil
	if err := server.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.b.Errorf("stop provost: %v", err)
	}
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-p.ended:
	case <-limit.C:
		_ = server.Process.Kill() // it may have ended just now
		<-p.ended
		p.b.Errorf("provost did not stop within %s:\n%s", stopTimeout, p.logged())
	}
}

// command runs the provost command to its end and returns what it printed.
func (p *provost) command(args ...string) string {
	p.b.Helper()
	cmd := exec.CommandContext(p.b.Context(), p.bin, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.environment(), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		p.b.Fatalf("provost %s: %v\n%s%s\nserver: %s", strings.Join(args, " "), err, stderr.String(), stdout.String(), p.logged())
	}
	return stdout.String()
}

func (p *provost) environment() []string {
	return []string{"HOME=" + p.dir, "PATH=" + os.Getenv("PATH"), "PROVOST_URL=" + p.url, "PROVOST_TOKEN=" + p.token}
}

// scim creates a directory that takes pushes, and returns a client of it.
func (p *provost) scim() *scimClient {
	p.b.Helper()
	p.command("directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
	return p.client(strings.TrimSpace(p.command("token", "create", "--directory", "entra")))
}

// peakMemory is the most memory that the server's process ever had resident, in MiB.
func (p *provost) peakMemory() float64 {
	p.b.Helper()
	peak, err := peakMemory(p.server.Process.Pid)
	if err != nil {
		p.b.Fatal(err)
	}
	return peak
}

// peakMemory is the most memory that a process ever had resident, in MiB.
func peakMemory(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 64)
			if err != nil {
				return 0, fmt.Errorf("VmHWM: %w", err)
			}
			return kib / 1024, nil
		}
	}
	return 0, errors.New("/proc has no VmHWM of the process")
}

func (p *provost) log() string { return filepath.Join(p.dir, "provost.log") }

// logged is the end of the server's log, for an error message.
func (p *provost) logged() string {
	content, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	return string(content[max(0, len(content)-4000):])
}
