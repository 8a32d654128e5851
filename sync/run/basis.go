package run

import (
	"context"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// basis is what a run goes on from.
type basis struct {
	why     string // everything must be read; "": only what has changed since the cookie
	cookie  []byte // of the last run that succeeded
	lost    string // why nobody can tell what has changed since; "": by the cookie one can
	follows bool   // that run was incremental: what it missed is to be found
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
	switch {
	case !d.Settings.LDAP.Incremental:
		return basis{why: "incremental runs are turned off"}, nil
	case run.Selection != nil:
		return basis{why: "what to synchronize was named"}, nil
	}
	last, full, err := tx.LastRun(ctx, d.Key)
	if err != nil {
		return basis{}, fmt.Errorf("find the last run: %w", err)
	}
	from := basis{follows: last != nil && last.Incremental}
	switch {
	case last == nil:
		from.lost = "no run has succeeded before"
	case last.Revision != d.Revision:
		from.lost = "the directory's settings have changed"
	case last.PolicyHash != policy:
		from.lost = "the verified domains or the cap have changed"
	case len(last.Cookie) == 0:
		from.lost = lostCookie
	default:
		from.cookie = last.Cookie
	}
	every := time.Duration(d.Settings.LDAP.FullEveryHours) * time.Hour
	if every <= 0 {
		every = defaultFullEvery
	}
	switch {
	case !run.Apply:
		from.why = "it is a plan, which tells everything"
	case run.Full:
		from.why = "it was asked for"
	case from.lost != "":
		from.why = from.lost
	case !e.now().Before(full.Add(every)):
		from.why = fmt.Sprintf("the last full run is %v ago", e.now().Sub(full).Round(time.Minute))
	}
	return from, nil
}
