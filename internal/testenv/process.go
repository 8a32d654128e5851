package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Limits on how long a server may take. They are far above what is measured
// (under a second each), so that only a broken server meets them.
const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	pollInterval = 5 * time.Millisecond
)

// account is who the servers run as: nobody when the tests run as root, since
// PostgreSQL refuses to be root and no test server needs it; else the caller.
type account struct {
	credential *syscall.Credential // nil: as the caller
}

func serverAccount() (account, error) {
	if os.Geteuid() != 0 {
		return account{}, nil
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		return account{}, fmt.Errorf("tests run as root and servers must not: %w", err)
	}
	uid, err := strconv.ParseUint(nobody.Uid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("uid of nobody: %w", err)
	}
	gid, err := strconv.ParseUint(nobody.Gid, 10, 32)
	if err != nil {
		return account{}, fmt.Errorf("gid of nobody: %w", err)
	}
	return account{&syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, nil
}

// dir makes a temporary directory that the account owns. It is not
// t.TempDir(), whose parents nobody may not enter. The path is short, because
// it holds unix sockets.
func (a account) dir(pattern string) (string, error) {
	dir, err := os.MkdirTemp("", pattern)
	if err != nil {
		return "", err
	}
	return dir, a.own(dir)
}

// own gives everything below path to the account.
func (a account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	return filepath.WalkDir(path, func(name string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(name, int(a.credential.Uid), int(a.credential.Gid))
	})
}

// command prepares a program that runs as the account, in dir, with a small
// fixed environment.
func (a account) command(dir, program string, args ...string) *exec.Cmd {
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	cmd.Env = []string{"LC_ALL=C.UTF-8", "HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential, Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	return cmd
}

// run runs a program to its end and returns what it printed in the error.
func (a account) run(dir, program string, args ...string) error {
	output, err := a.command(dir, program, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(program), err, tail(output))
	}
	return nil
}

// process is one running server.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string        // file that has its output
	done chan struct{} // closed when it has ended and been waited for
}

// start runs a server in the background with its output in dir/NAME.log. One
// goroutine waits for its end; stop waits for that goroutine.
func (a account) start(dir, program string, args ...string) (*process, error) {
	name := filepath.Base(program)
	p := &process{name: name, log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = a.command(dir, program, args...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is in cmd.ProcessState
		close(p.done)
	}()
	return p, nil
}

// errEnded says that a server ended before it was ready, which on a busy
// machine may only mean that another program took its port.
var errEnded = errors.New("ended before it was ready")

// ready waits until check succeeds, the server ends, or startTimeout passes.
func (p *process) ready(check func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := check(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s %w (%s)\n%s", p.name, errEnded, p.cmd.ProcessState, p.output())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready within %s: %w\n%s", p.name, startTimeout, err, p.output())
		case <-tick.C:
		}
	}
}

// stop asks the server to end with the signal and kills it if it does not.
// A server that has already ended is no error.
func (p *process) stop(signal os.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	limit := time.NewTimer(stopTimeout)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
	}
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill %s: %w", p.name, err)
	}
	<-p.done
	return fmt.Errorf("%s did not end within %s and was killed\n%s", p.name, stopTimeout, p.output())
}

// output returns the end of the server's log, for an error message.
func (p *process) output() string {
	file, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer file.Close()
	content, err := io.ReadAll(file)
	if err != nil {
		return err.Error()
	}
	return tail(content)
}

// tail returns the last 2,000 bytes.
func tail(output []byte) string {
	const limit = 2000
	return string(bytes.TrimSpace(output[max(0, len(output)-limit):]))
}

// freePort returns a loopback TCP port that was free a moment ago. Whoever
// starts a server on it tries again with another when the server ends at once.
func freePort() (int, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}
