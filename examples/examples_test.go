package examples_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/provost-scim/provost/internal/testenv"
)

// The time that the programs have for what takes them a moment.
const patience = time.Minute

// row is a user of a mirror.
type row struct {
	ID       string `json:"id"`
	UserName string `json:"user_name"`
	Active   bool   `json:"active"`
	Email    string `json:"email"`
}

// build compiles a command of this module.
func build(t *testing.T, folder string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), filepath.Base(folder))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, folder)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", folder, err, out)
	}
	return binary
}

// server is the real program.
type server struct {
	t                *testing.T
	binary, url      string
	owner, directory string // tokens
}

func start(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, binary: build(t, "../cmd/provost")}
	database := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	s.owner = s.provost("admin", "token", "create", "--database", database)
	// The test's own context ends before the clean-up that stops it.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), s.binary, "serve", "--listen", "127.0.0.1:0", "--database", database, "--drain-within", "0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Errorf("stop provost: %v", err)
		}
	})
	listening := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
				listening <- url
			}
		}
	}()
	select {
	case s.url = <-listening:
	case <-time.After(patience):
		t.Fatal("provost does not listen")
	}
	s.provost("directory", "create", "entra", "--kind", "scim", "--domain-policy", "off")
	s.directory = s.provost("token", "create", "--directory", "entra")
	return s
}

// provost runs a command and returns what it prints.
func (s *server) provost(args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), s.binary, args...)
	cmd.Env = append(os.Environ(), "PROVOST_URL="+s.url, "PROVOST_TOKEN="+s.owner)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		s.t.Fatalf("provost %q: %v\n%s", args, err, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// scim sends a request as the directory's client and returns the id of the answer.
func (s *server) scim(method, path, body string) string {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+"/scim/v2"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.directory)
	req.Header.Set("Content-Type", "application/scim+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s is %s", method, path, resp.Status)
	}
	var answer struct{ ID string }
	if resp.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
			s.t.Fatal(err)
		}
	}
	return answer.ID
}

func (s *server) hire(name string) string {
	s.t.Helper()
	return s.scim(http.MethodPost, "/Users", fmt.Sprintf(
		`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"active":true,"emails":[{"value":%q,"primary":true}]}`, name, name))
}

// users are those whom the server has, by id.
func (s *server) users() map[string]row {
	s.t.Helper()
	var list []row
	if err := json.Unmarshal([]byte(s.provost("user", "list", "--json")), &list); err != nil {
		s.t.Fatal(err)
	}
	all := map[string]row{}
	for _, u := range list {
		all[u.ID] = u
	}
	return all
}

func TestMirrorsLoseNothing(t *testing.T) {
	for _, example := range []struct {
		name    string
		command func(t *testing.T) []string
		read    func(path string) (map[string]row, error)
	}{
		{"Go", func(t *testing.T) []string { return []string{build(t, "./mirror-go")} }, readSQLite},
		{"Node", func(t *testing.T) []string {
			testenv.Needs(t, "node", "nodejs")
			return []string{"node", "mirror-node/mirror.mjs"}
		}, readJSON},
	} {
		t.Run(example.name, func(t *testing.T) {
			command := example.command(t)
			s := start(t)
			auditor := s.provost("token", "create", "--role", "auditor", "--name", "mirror")
			table := filepath.Join(t.TempDir(), "users")
			begin := func() *exec.Cmd {
				t.Helper()
				cmd := exec.CommandContext(t.Context(), command[0], append(command[1:], table)...)
				cmd.Env = append(os.Environ(), "PROVOST_URL="+s.url, "PROVOST_TOKEN="+auditor)
				cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				return cmd
			}
			end := func(cmd *exec.Cmd) {
				t.Helper()
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				_ = cmd.Wait() // it was killed, which it says
			}
			same := func(when string) {
				t.Helper()
				want := s.users()
				var got map[string]row
				var err error
				for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
					if got, err = example.read(table); err == nil && cmp.Equal(want, got) {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s (-server +mirror), %v:\n%s", when, err, cmp.Diff(want, got))
					}
				}
			}

			var ids []string
			for i := range 20 {
				ids = append(ids, s.hire(fmt.Sprintf("early%d@example.com", i)))
			}
			mirror := begin()
			same("after the snapshot")
			s.hire("grace@example.com")
			s.scim(http.MethodPatch, "/Users/"+ids[0], `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"active","value":false}]}`)
			s.scim(http.MethodDelete, "/Users/"+ids[1], "")
			same("while it follows")

			for i := range 10 { // killed in the middle
				s.hire(fmt.Sprintf("late%d@example.com", i))
				if i == 5 {
					end(mirror)
				}
			}
			s.scim(http.MethodDelete, "/Users/"+ids[2], "")
			s.scim(http.MethodPatch, "/Users/"+ids[3], `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"userName","value":"renamed@example.com"}]}`)
			mirror = begin()
			same("after it was killed and started again")
			end(mirror)
		})
	}
}

func readSQLite(path string) (all map[string]row, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(2000)")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.Query("SELECT id, user_name, active, email FROM users")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all = map[string]row{}
	for rows.Next() {
		var u row
		if err := rows.Scan(&u.ID, &u.UserName, &u.Active, &u.Email); err != nil {
			return nil, err
		}
		all[u.ID] = u
	}
	return all, rows.Err()
}

func readJSON(path string) (map[string]row, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = errors.New("it has written nothing")
		}
		return nil, err
	}
	var table struct{ Users map[string]row }
	return table.Users, json.Unmarshal(text, &table)
}
