package domain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/provost-scim/provost/store"
)

const (
	// maxFailures is how many daily checks in a row a verified domain may fail.
	maxFailures = 3
	checkEvery  = 24 * time.Hour
	passEvery   = time.Hour // how often to look for domains that are due
	batch       = 100
	parallel    = 8
)

// Store is what a keeper needs of a [store.Store].
type Store interface {
	View(ctx context.Context, fn func(store.Reader) error) error
	Update(ctx context.Context, fn func(store.Tx) error) error
}

// Keeper verifies domains and keeps checking those that were. Several processes may
// each run one: a check counts once.
type Keeper struct {
	Store    Store
	Verifier Verifier
	Now      func() time.Time                     // nil: time.Now
	After    func(time.Duration) <-chan time.Time // nil: time.After
	Log      *slog.Logger                         // nil: slog.Default
}

func (k *Keeper) now() time.Time {
	if k.Now != nil {
		return k.Now()
	}
	return time.Now().UTC()
}

// Verify looks for a domain's challenge and, if it is there, makes the domain
// verified. Otherwise the reason is kept as LastError and returned; a verified
// domain stays so, because only daily checks count. A domain that another
// organization has verified is [store.CodeUniqueness].
func (k *Keeper) Verify(ctx context.Context, org store.Key, ref string, cause store.Cause) (*store.Domain, error) {
	var d *store.Domain
	err := k.Store.View(ctx, func(r store.Reader) (err error) {
		d, err = r.Domain(ctx, org, ref)
		return err
	})
	if err != nil {
		return nil, err
	}
	verdict := k.Verifier.Verify(ctx, d.Name, d.Challenge)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	err = k.Store.Update(ctx, func(tx store.Tx) error {
		present, err := tx.Domain(ctx, org, string(d.ID))
		if err != nil {
			return err
		}
		if present.Challenge != d.Challenge {
			return &store.Error{Code: store.CodeStale, Resource: "domain " + d.Name,
				Message: "the domain was claimed anew while it was verified", Hint: "verify it again"}
		}
		d = present
		now := k.now()
		if verdict != nil {
			d.LastError = verdict.Error()
			if d.State != store.DomainVerified { // there the time counts days
				d.CheckedAt = now
			}
			return tx.SaveDomain(ctx, d)
		}
		before := d.State
		d.Vouched, d.Failures, d.LastError, d.CheckedAt = false, 0, "", now
		if before != store.DomainVerified {
			d.State, d.VerifiedAt = store.DomainVerified, now
		}
		if err := tx.SaveDomain(ctx, d); err != nil {
			return err
		}
		switch before {
		case store.DomainVerified:
			return nil
		case store.DomainFailed: // what the finding told is so no more
			found := &store.ChangeSet{Org: d.Org, Now: now, Resolved: []store.FindingKey{lostKey(d)}}
			if _, err := tx.Apply(ctx, found); err != nil {
				return err
			}
		}
		return k.event(ctx, tx, d, store.EventDomainVerified, before, cause, now)
	})
	if err == nil {
		err = verdict
	}
	return d, err
}

// Run checks verified domains every day until ctx ends, which is no error.
func (k *Keeper) Run(ctx context.Context) error {
	after := k.After
	if after == nil {
		after = time.After
	}
	for {
		if err := k.Pass(ctx); err != nil && ctx.Err() == nil {
			log := k.Log
			if log == nil {
				log = slog.Default()
			}
			log.ErrorContext(ctx, "check domains", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-after(passEvery):
		}
	}
}

// Pass checks every domain that is due now. One that cannot be saved does not keep
// the others from being checked; their errors are joined.
func (k *Keeper) Pass(ctx context.Context) error {
	// Half a pass early: a check keeps its hour of the day.
	due := k.now().Add(-checkEvery + passEvery/2)
	for {
		var domains []store.Domain
		err := k.Store.View(ctx, func(r store.Reader) (err error) {
			domains, err = r.DomainsToCheck(ctx, due, batch)
			return err
		})
		if err != nil {
			return fmt.Errorf("list domains to check: %w", err)
		}
		if err := k.checkAll(ctx, domains); err != nil {
			return err
		}
		if len(domains) < batch {
			return nil
		}
	}
}

func (k *Keeper) checkAll(ctx context.Context, domains []store.Domain) error {
	var (
		running sync.WaitGroup
		slots   = make(chan struct{}, parallel)
		failed  = make([]error, len(domains))
	)
	for i := range domains {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if err := k.check(ctx, domains[i]); err != nil {
				failed[i] = fmt.Errorf("check domain %s: %w", domains[i].Name, err)
			}
		})
	}
	running.Wait()
	return errors.Join(failed...)
}

// check asks for one domain and writes down what came of it. Whose word was taken
// instead of DNS has no record to look for.
func (k *Keeper) check(ctx context.Context, d store.Domain) error {
	counts := d.State == store.DomainVerified && !d.Vouched
	var verdict error
	if counts {
		verdict = k.Verifier.Verify(ctx, d.Name, d.Challenge)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return k.Store.Update(ctx, func(tx store.Tx) error {
		present, err := tx.Domain(ctx, d.Org, string(d.ID))
		if store.CodeOf(err) == store.CodeNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		if !present.CheckedAt.Equal(d.CheckedAt) || present.State != d.State || present.Challenge != d.Challenge || present.Vouched != d.Vouched {
			return nil // somebody was faster
		}
		now := k.now()
		present.CheckedAt = now
		if !counts {
			return tx.SaveDomain(ctx, present)
		}
		if verdict == nil {
			present.Failures, present.LastError = 0, ""
			return tx.SaveDomain(ctx, present)
		}
		present.Failures++
		present.LastError = verdict.Error()
		if present.Failures < maxFailures {
			return tx.SaveDomain(ctx, present)
		}
		present.State = store.DomainFailed
		if err := tx.SaveDomain(ctx, present); err != nil {
			return err
		}
		if err := tx.Open(ctx, []store.Finding{lost(present, now)}); err != nil {
			return err
		}
		cause := store.Cause{Actor: store.Actor{Kind: "system"}, Reason: "daily check of verified domains"}
		return k.event(ctx, tx, present, store.EventDomainFailed, store.DomainVerified, cause, now)
	})
}

func lostKey(d *store.Domain) store.FindingKey {
	return store.FindingKey{Rule: store.RuleDomainLost, Record: d.Name}
}

func lost(d *store.Domain, now time.Time) store.Finding {
	return store.Finding{
		FindingKey: lostKey(d), ID: store.NewID(now), Org: d.Org, Name: d.Name, OpenedAt: now, SeenAt: now,
		Sentence: fmt.Sprintf("The domain %s failed its check on %d days running and lets no new users in; existing ones stay. "+
			"Publish the TXT record %s with the value %s, and verify the domain again.", d.Name, d.Failures, RecordName(d.Name), RecordValue(d.Challenge)),
	}
}

// event appends what became of a domain's state.
func (k *Keeper) event(ctx context.Context, tx store.Tx, d *store.Domain, kind string, before store.DomainState, cause store.Cause, now time.Time) error {
	type state struct {
		Name      string            `json:"name"`
		State     store.DomainState `json:"state"`
		LastError string            `json:"last_error,omitempty"`
	}
	data, err := json.Marshal(map[string]state{
		"before": {Name: d.Name, State: before},
		"after":  {Name: d.Name, State: d.State, LastError: d.LastError},
	})
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	return tx.Append(ctx, []store.Event{{
		ID: store.NewID(now), Org: d.Org, Type: kind, Version: store.EventVersion, Kind: "Domain", Resource: d.ID,
		Cause: cause, Data: data, Time: now,
	}})
}
