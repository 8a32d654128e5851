package run

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// basis is what a run goes on from: the cookie of the last one that succeeded, or
// the reason why everything must be read.
type basis struct {
	cookie []byte
	why    string
}

// lostCookie is why a full read is made after one that could keep no cookie; the
// source then says why not.
const lostCookie = "the last run kept no cookie"

// defaultFullEvery is how long reads of changes may follow each other if the settings
// do not say.
const defaultFullEvery = 24 * time.Hour

// basis decides whether a run may read changes only. Everything that a read compares
// with or depends on, besides the directory itself, must be as it was.
func (e *Engine) basis(ctx context.Context, tx store.Tx, run *store.Run, d *store.Directory, policy string) (basis, error) {
	because := func(format string, args ...any) (basis, error) {
		return basis{why: fmt.Sprintf(format, args...)}, nil
	}
	switch {
	case !d.Settings.LDAP.Incremental:
		return because("incremental runs are turned off")
	case !run.Apply:
		return because("it is a plan, which tells everything")
	case run.Selection != nil:
		return because("what to synchronize was named")
	case run.Full:
		return because("it was asked for")
	}
	last, full, err := tx.LastRun(ctx, d.Key)
	if err != nil {
		return basis{}, fmt.Errorf("find the last run: %w", err)
	}
	if last == nil {
		return because("no run has succeeded before")
	}
	every := time.Duration(d.Settings.LDAP.FullEveryHours) * time.Hour
	if every <= 0 {
		every = defaultFullEvery
	}
	switch {
	case last.Revision != d.Revision:
		return because("the directory's settings have changed")
	case last.PolicyHash != policy:
		return because("the verified domains or the cap have changed")
	case len(last.Cookie) == 0:
		return because(lostCookie)
	case !e.now().Before(full.Add(every)):
		return because("the last full run is %v ago", e.now().Sub(full).Round(time.Minute))
	}
	return basis{cookie: last.Cookie}, nil
}
