//go:build linux

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
)

// completions are the words that the last of these could become.
func completions(t *testing.T, p *provostServer, words ...string) (all []string) {
	t.Helper()
	for line := range strings.Lines(p.must(t, append([]string{"__complete", "--"}, words...)...) + "\n") {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if word != "" {
			all = append(all, word)
		}
	}
	return all
}

func TestWordsOfACommandAreCompleted(t *testing.T) {
	t.Parallel()
	p := startProvost(t)
	p.must(t, "directory", "create", "entra", "--kind", "scim")
	p.must(t, "directory", "create", "okta", "--kind", "scim")
	for name, c := range map[string]struct{ words, want []string }{
		"a command":                       {[]string{"dire"}, []string{"directory"}},
		"commands of a command":           {[]string{"sync", ""}, []string{"plan", "run", "status", "history", "approve", "discard"}},
		"a flag":                          {[]string{"sync", "run", "--wa"}, []string{"--wait"}},
		"a flag that turns something off": {[]string{"directory", "set", "entra", "--no-enable-n"}, []string{"--no-enable-new-users"}},
		"a value of a few":                {[]string{"directory", "create", "x", "--kind", ""}, []string{"scim", "ldap"}},
		"a value after an equals sign":    {[]string{"directory", "create", "x", "--kind=l"}, []string{"--kind=ldap"}},
		"a value as bash divides it":      {[]string{"directory", "create", "x", "--kind", "=", "l"}, []string{"ldap"}},
		"nothing yet, as bash divides it": {[]string{"directory", "create", "x", "--kind", "="}, []string{"scim", "ldap"}},
		"a value of a short list":         {[]string{"completion", "z"}, []string{"zsh"}},
		"a file":                          {[]string{"directory", "create", "x", "--ca-file", "ca"}, []string{":files"}},
		"names of directories":            {[]string{"directory", "show", ""}, []string{"entra", "okta"}},
		"a directory after a flag":        {[]string{"user", "list", "--active", "no", "--directory", "o"}, []string{"okta"}},
		"a directory after flags":         {[]string{"sync", "run", "--wait", "--user", "ann", "ok"}, []string{"okta"}},
		"nothing after the last argument": {[]string{"directory", "show", "entra", ""}, nil},
		"nothing of what is hidden":       {[]string{"__"}, nil},
		"no flag after two dashes":        {[]string{"directory", "show", "--", "--j"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, completions(t, p, c.words...)); diff != "" {
				t.Errorf("%q (-want +got):\n%s", c.words, diff)
			}
		})
	}
	p.stopNow(t)
	if got := completions(t, p, "directory", "show", ""); got != nil {
		t.Errorf("without a server: %q", got)
	}
}

// stopNow ends the server before the test does.
func (p *provostServer) stopNow(t *testing.T) {
	t.Helper()
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
}

// atShell types into an interactive shell and returns what is seen until it ends.
func (p *provostServer) atShell(t *testing.T, typed string, shell ...string) string {
	t.Helper()
	testenv.Needs(t, shell[0], shell[0])
	person, program := openTerminal(t, 200)
	cmd := exec.CommandContext(t.Context(), shell[0], shell[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = program, program, program
	cmd.Env = append(os.Environ(), "PROVOST_URL="+p.url, "PROVOST_TOKEN="+p.token, "TERM=xterm", "HOME="+t.TempDir(), "PS1=> ")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := program.Close(); err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 1)
	go func() {
		b, err := io.ReadAll(person)
		if err != nil && !errors.Is(err, syscall.EIO) { // EIO: the shell has ended
			b = append(b, err.Error()...)
		}
		seen <- string(b)
	}()
	if _, err := io.WriteString(person, typed); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%s: %v", shell[0], err)
	}
	return <-seen
}

func TestShellsComplete(t *testing.T) {
	t.Parallel()
	p := startProvost(t)
	p.must(t, "directory", "create", "only-one", "--kind", "scim")
	// A word that is completed alone gets a space, and the command is another one.
	const typed = "provost dire\tshow onl\t--js\t\n" + "exit 0\n"
	const want = `"name": "only-one"`
	for _, c := range []struct{ name, typed string }{
		{"bash", "source <(provost completion bash)\n"},
		{"zsh", "autoload -U compinit && compinit -u; source <(provost completion zsh)\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			arguments := map[string][]string{"bash": {"bash", "--norc", "--noprofile", "-i"}, "zsh": {"zsh", "-f", "-i"}}[c.name]
			if seen := p.atShell(t, c.typed+typed, arguments...); !strings.Contains(seen, want) {
				t.Errorf("%s does not complete:\n%s", c.name, seen)
			}
		})
	}
	t.Run("fish", func(t *testing.T) {
		testenv.Needs(t, "fish", "fish")
		cmd := exec.CommandContext(t.Context(), "fish", "--no-config", "-c", `provost completion fish | source
complete -C "provost dire"
complete -C "provost directory show o"
complete -C "provost directory create x --kind "`)
		cmd.Env = append(os.Environ(), "PROVOST_URL="+p.url, "PROVOST_TOKEN="+p.token, "HOME="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		var words []string
		for line := range strings.Lines(string(out)) {
			word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
			words = append(words, word)
		}
		slices.Sort(words)
		if diff := cmp.Diff([]string{"directory", "ldap", "only-one", "scim"}, words); diff != "" {
			t.Errorf("fish (-want +got):\n%s", diff)
		}
	})
}
