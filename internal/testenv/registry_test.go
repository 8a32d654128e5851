package testenv

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// recorder stands for a test that ends in a skip or a failure.
type recorder struct {
	testing.TB
	ended []string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any)  { r.ended = append(r.ended, "skip: "+args[0].(string)) }
func (r *recorder) Fatal(args ...any) { r.ended = append(r.ended, "fatal: "+args[0].(string)) }

func TestAMissingServerSkipsATestAndFailsItInCI(t *testing.T) {
	for _, tt := range []struct {
		name, ci, want string
	}{
		{"on a developer's machine the test is skipped", "", "skip: "},
		{"in CI nothing may be skipped", "true", "fatal: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("CI", tt.ci)
			r := &recorder{TB: t}
			missing(r, "slapd (OpenLDAP)", "slapd")
			if len(r.ended) == 0 || !strings.HasPrefix(r.ended[0], tt.want) {
				t.Fatalf("the test ended with %q, want first %q", r.ended, tt.want)
			}
			for _, part := range []string{"slapd (OpenLDAP) is not installed", "apt-get install --no-install-recommends slapd", "make test"} {
				if !strings.Contains(r.ended[0], part) {
					t.Errorf("%q does not say %q", r.ended[0], part)
				}
			}
		})
	}
}

func TestServersAreStoppedInReverseOrderAndOnlyStartedWhenTheyWillBe(t *testing.T) {
	var r registry
	if err := r.onClose(func() error { return nil }); err == nil || !strings.Contains(err.Error(), "testenv.Main(m)") {
		t.Errorf("without Main: %v, want an error that says what to add", err)
	}
	r.open()
	var stopped []string
	broken := errors.New("broken")
	for _, name := range []string{"first", "second", "third"} {
		err := r.onClose(func() error {
			stopped = append(stopped, name)
			if name == "second" {
				return broken
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := r.close(); !errors.Is(err, broken) {
		t.Errorf("close: %v, want the error of the second", err)
	}
	if diff := cmp.Diff([]string{"third", "second", "first"}, stopped); diff != "" {
		t.Errorf("stopped (-want +got):\n%s", diff)
	}
}
