package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/ldap/dn"
	"github.com/provost-scim/provost/sync/reconcile"
	pull "github.com/provost-scim/provost/sync/run"
)

// pullsVariable is the environment variable by which the test binary is told to be the
// process that pulls, and what.
const pullsVariable = "PROVOST_BENCH_PULLS"

// pulls is the process that pulls: an engine on a database, with the sizes of `provost
// serve`, whose directories come from a generator.
type pulls struct {
	spec   millionSpec
	source *generator
	store  store.Store
	engine *pull.Engine
	org    store.Key
	dir    *store.Directory
}

func runPulls(ctx context.Context, text string) (err error) {
	p := &pulls{}
	if err := json.Unmarshal([]byte(text), &p.spec); err != nil {
		return err
	}
	p.source = &generator{users: p.spec.Users, groups: p.spec.Groups, changeEvery: max(p.spec.Users/p.spec.Changes, 1)}
	if err := gormstore.Migrate(ctx, p.spec.DSN); err != nil {
		return err
	}
	if p.store, err = gormstore.Open(ctx, p.spec.DSN, gormstore.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.store.Close()) }()
	const records = 3_000 // the default of --window-records
	p.engine = pull.New(p.store, reconcile.New(p.store, reconcile.Options{}), pull.Options{
		Open:  func(context.Context, *store.Directory) (pull.Source, error) { return p.source, nil },
		DNKey: func(name string) [16]byte { return dn.Of(name) }, DNHash: func(name string) [16]byte { return dn.Hash(name) },
		Owner: "bench", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil)),
		BatchRows: 2 * records, WindowRecords: records, WindowRefs: 10 * records, PublishRows: 20 * records,
	})
	working, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.engine.Run(working)
	}()
	result, err := p.measure(ctx)
	stop()
	<-ended
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

func (p *pulls) measure(ctx context.Context) (*millionResult, error) {
	if err := p.directory(ctx); err != nil {
		return nil, err
	}
	entries := p.spec.Users + p.spec.Groups
	run, err := p.pull(ctx)
	if err != nil {
		return nil, err
	}
	if made := run.Counts.Users.Created + run.Counts.Groups.Created; made != entries {
		return nil, fmt.Errorf("the first pull created %d records instead of %d", made, entries)
	}
	r := &millionResult{First: took(run)}
	for round := range p.spec.Rounds {
		start := time.Now()
		read, err := p.engine.Digest(ctx, p.dir)
		if err != nil || read != entries {
			return nil, fmt.Errorf("read %d entries instead of %d: %w", read, entries, err)
		}
		r.Digests = append(r.Digests, time.Since(start).Seconds())
		quiet, err := p.pull(ctx)
		if err != nil {
			return nil, err
		}
		if same := quiet.Counts.Users.Unchanged + quiet.Counts.Groups.Unchanged; same != entries {
			return nil, fmt.Errorf("the quiet run left %d records unchanged instead of %d", same, entries)
		}
		r.Quiet = append(r.Quiet, took(quiet))
		p.source.round = round + 1
		changed, err := p.pull(ctx)
		if err != nil {
			return nil, err
		}
		if n := changed.Counts.Users.Modified; n != p.spec.Changes {
			return nil, fmt.Errorf("the run modified %d users instead of %d", n, p.spec.Changes)
		}
		r.Change = append(r.Change, took(changed))
	}
	r.Peak, err = peakMemory(os.Getpid())
	return r, err
}

// directory makes the directory, whose runs read everything.
func (p *pulls) directory(ctx context.Context) error {
	settings := store.DefaultSettings(store.DirectoryLDAP)
	settings.DomainPolicy = store.DomainsOff
	settings.LDAP.Schedule = store.Schedule{Kind: "off"}
	return p.store.Update(ctx, func(tx store.Tx) error {
		org, err := tx.Organization(ctx, store.DefaultOrganization)
		if err != nil {
			return err
		}
		p.org = org.Key
		now := time.Now().UTC().Truncate(time.Microsecond)
		p.dir = &store.Directory{
			ID: store.NewID(now), Org: p.org, Name: "corp", Kind: store.DirectoryLDAP, Settings: settings, Revision: 1, CreatedAt: now, UpdatedAt: now,
		}
		return tx.CreateDirectory(ctx, p.dir)
	})
}

// pull runs a pull to its end.
func (p *pulls) pull(ctx context.Context) (*store.Run, error) {
	run, err := p.engine.Start(ctx, p.org, p.dir.Name, "", true, store.Cause{Actor: store.Actor{Kind: "person", Name: "bench"}})
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for run.FinishedAt.IsZero() && run.State != store.RunHeld {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
		err := p.store.View(ctx, func(r store.Reader) (err error) {
			run, err = r.Run(ctx, p.org, run.ID)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	if run.State != store.RunSucceeded {
		return nil, fmt.Errorf("the run is %s: %s", run.State, run.Error)
	}
	return run, nil
}

// took is from the request to the end, in seconds.
func took(run *store.Run) float64 { return run.FinishedAt.Sub(run.CreatedAt).Seconds() }
