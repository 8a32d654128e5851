package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script/*.txtar. Each script has a server of its own,
// which PROVOST_URL, PROVOST_TOKEN and PROVOST_DATABASE name.
//
// Besides the commands of testscript there is `keep NAME`, which sets the variable
// NAME to what the last command printed.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			p, err := bootProvost(env.WorkDir)
			if err != nil {
				return err
			}
			env.Defer(func() {
				if err := p.stop(); err != nil {
					t.Errorf("stop provost: %v\n%s", err, p.stderr)
				}
			})
			env.Setenv("PROVOST_URL", p.url)
			env.Setenv("PROVOST_TOKEN", p.token)
			env.Setenv("PROVOST_DATABASE", p.dsn)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"keep": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: keep NAME")
				}
				ts.Setenv(args[0], firstLine(ts.ReadFile("stdout")))
			},
		},
	})
}

func firstLine(text string) string {
	for i := range text {
		if text[i] == '\n' {
			return text[:i]
		}
	}
	return text
}
