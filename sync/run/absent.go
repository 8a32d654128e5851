package run

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/provost-scim/provost/store"
)

// absence is how much of what is stored of a kind a run of a selection has not found.
type absence struct {
	missing int // records that were looked for and not found, those that are named included
	looked  int // records that were looked for
	of      int // records that are stored
	sampled bool
}

// all is how many of all stored records may be missing, of which taken were named. A
// sample may show fewer than there are, so what it shows counts twice.
func (a *absence) all(taken int) int {
	if !a.sampled {
		return a.missing
	}
	return taken + 2*(a.missing-taken)*a.of/a.looked
}

// believable fails a run that would delete what is named, or take members that were not
// read from groups, although so much else that is stored was not found either that a run
// of everything would be held: an account that has lost its rights finds nobody. (Where
// the directory is asked, such members stay: see [target.unseen].)
func (s *selection) believable(ctx context.Context, r *reading) error {
	if s == nil {
		return nil
	}
	guard := r.directory.Settings.Guard
	for _, c := range []struct {
		kind  store.Kind
		word  string
		taken int
		limit store.Threshold
	}{
		{store.KindUser, "users", r.losses.usersDeleted, guard.UsersDeleted},
		{store.KindGroup, "groups", r.losses.groupsRemoved, guard.GroupsDeleted},
	} {
		if c.taken == 0 && (c.kind != store.KindUser || r.unread == 0 || r.loading == nil) {
			continue
		}
		a, err := s.absent(ctx, c.kind, c.taken)
		if err != nil {
			return err
		}
		if a.missing <= c.taken || a.missing < a.looked && !c.limit.Exceeded(a.all(c.taken), a.of) {
			continue
		}
		of := "stored " + c.word
		if a.sampled {
			of += " that were looked for"
		}
		e := store.Errorf(store.CodeInvalid, "%d of %d %s were not found, not only those that are named: the bind DN may have lost its rights", a.missing, a.looked, of)
		e.Hint = "synchronize the whole directory first; nothing has been changed"
		return e
	}
	return nil
}

// absent counts what a full read has not found of what it should: whoever is out of the
// scope may be where nobody reads.
func (r *reading) absent(_ context.Context, kind store.Kind, taken int) (a absence, err error) {
	a.missing, a.of = taken, taken
	for i := range r.index.count {
		n := r.index.node(i)
		if !n.is(known) || n.is(isUser) != (kind == store.KindUser) || n.is(outOfScope) || r.only.nodes[i] {
			continue
		}
		a.of++
		if !n.is(read) {
			a.missing++
		}
	}
	a.looked = a.of
	return a, nil
}

// maxSample is how many stored records are looked for in the directory before a record
// that is named is taken for deleted. If a tenth of all is out of sight, a sample of this
// size shows less than half of it once in a million times.
const maxSample = 1_000

// absent looks for others that are stored: for all of them, or for a sample.
func (t *target) absent(ctx context.Context, kind store.Kind, taken int) (a absence, err error) {
	var sample []string
	others := 0
	err = t.r.w.e.store.View(ctx, func(v store.Reader) error {
		sample, others = sample[:0], 0
		return v.Known(ctx, t.r.directory.Key, func(k store.Known) error {
			if k.Kind != kind || k.OutOfScope || k.ExternalID == "" || t.r.only.nodes[t.r.index.find(kind, k.ExternalID)] {
				return nil
			}
			if others++; len(sample) < maxSample {
				sample = append(sample, k.ExternalID)
			} else if i := rand.IntN(others); i < maxSample { //nolint:gosec // nobody gains by foreseeing it
				sample[i] = k.ExternalID
			}
			return nil
		})
	})
	if err != nil {
		return a, fmt.Errorf("choose whom else to look for: %w", err)
	}
	found, err := asked(t.a.Identify(ctx, sample))
	if err != nil {
		return a, err
	}
	a = absence{missing: taken, looked: taken + len(sample), of: taken + others, sampled: others > len(sample)}
	for _, id := range sample {
		if _, ok := found[id]; !ok {
			a.missing++
		}
	}
	return a, nil
}
