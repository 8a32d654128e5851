package main

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script/*.txtar. Each script has a server of its own,
// which PROVOST_URL, PROVOST_TOKEN and PROVOST_DATABASE name.
//
// Besides the commands of testscript there is `keep NAME`, which sets the variable
// NAME to what the last command printed, and `rest METHOD PATH`, which calls the
// server for what has no command.
func TestScripts(t *testing.T) {
	t.Parallel()
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
			"rest": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 || len(args) > 3 {
					ts.Fatalf("usage: rest METHOD PATH [JSON]")
				}
				var body io.Reader
				if len(args) == 3 {
					body = strings.NewReader(args[2])
				}
				req, err := http.NewRequestWithContext(t.Context(), args[0], ts.Getenv("PROVOST_URL")+"/api/v1"+args[1], body)
				ts.Check(err)
				if body != nil {
					req.Header.Set("Content-Type", "application/json")
				}
				req.Header.Set("Authorization", "Bearer "+ts.Getenv("PROVOST_TOKEN"))
				answer, err := http.DefaultClient.Do(req)
				ts.Check(err)
				ts.Check(answer.Body.Close())
				if answer.StatusCode >= 300 {
					ts.Fatalf("%s %s answers %s", args[0], args[1], answer.Status)
				}
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
