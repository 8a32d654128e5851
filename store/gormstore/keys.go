package gormstore

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/provost-scim/provost/store"
)

// keysAtOnce is how many keys PostgreSQL hands out at least: a push that creates one
// record then seldom has to ask.
const keysAtOnce = 64

// spareKeys are keys taken from a sequence and not handed out yet, by table. They belong
// to nobody else, as long as the sequence is not set back: so they are spare only when
// the log that tells of them is on disk, and are forgotten when a connection is made,
// which may be to a database that came back with less.
type spareKeys struct {
	mu   sync.Mutex
	keys map[string][]store.Key
	age  int // how often they were forgotten
}

// take hands out n keys, or none if there are fewer.
func (s *spareKeys) take(table string, n int) (keys []store.Key, age int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	have := s.keys[table]
	if len(have) < n {
		return nil, s.age
	}
	s.keys[table] = have[n:]
	return have[:n:n], s.age
}

// put makes keys spare that were taken at an age.
func (s *spareKeys) put(table string, keys []store.Key, age int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys == nil {
		s.keys = map[string][]store.Key{}
	}
	if age == s.age && len(keys) > len(s.keys[table]) { // of two that asked at once, one is forgotten
		s.keys[table] = keys
	}
}

func (s *spareKeys) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.age++
	clear(s.keys)
}

// unspent are keys of a table that a transaction took and has not handed out.
type unspent struct {
	keys []store.Key
	age  int // of the spare keys then
}

// Keys hands out internal keys; those of a transaction that fails are never used.
func (t *tx) Keys(ctx context.Context, kind store.Kind, n int) ([]store.Key, error) {
	if n <= 0 {
		return nil, nil
	}
	table := tableOf(kind)
	if t.e.postgres {
		return t.takeKeys(ctx, table, n)
	}
	last, err := find(ctx, t.session, value[store.Key], "UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ? RETURNING seq", n, table)
	if err != nil {
		return nil, fmt.Errorf("take keys of %s: %w", table, err)
	}
	keys := make([]store.Key, n)
	for i := range keys {
		keys[i] = last - store.Key(n-1-i)
	}
	return keys, nil
}

// takeKeys is Keys on PostgreSQL.
func (t *tx) takeKeys(ctx context.Context, table string, n int) ([]store.Key, error) {
	if left := t.unspent[table].keys; len(left) >= n {
		t.unspent[table] = unspent{left[n:], t.unspent[table].age}
		return left[:n:n], nil
	}
	keys, age := t.e.spare.take(table, n)
	if keys != nil {
		return keys, nil
	}
	atOnce := n
	if !t.hasty {
		atOnce = max(n, keysAtOnce)
	}
	keys, err := collect(ctx, t.session, value[store.Key], "SELECT nextval('"+table+"_key') FROM generate_series(1, ?)", atOnce)
	if err != nil {
		return nil, fmt.Errorf("take keys of %s: %w", table, err)
	}
	if len(keys) == n {
		return keys, nil
	}
	if t.unspent == nil {
		t.unspent = map[string]unspent{}
	}
	t.unspent[table] = unspent{keys[n:], age}
	return keys[:n:n], nil
}

// spareUnspent makes spare what a transaction has left, after it was committed: the log
// that tells of the keys is on disk, because one that does not wait for it leaves none.
func (s *session) spareUnspent() {
	for table, u := range s.unspent {
		s.e.spare.put(table, u.keys, u.age)
	}
}

// holding is how often a change set lets go of or takes an identity key.
type holding struct {
	kind      store.Kind
	directory store.Key
	count     int
}

// identityKeys makes the statements that release identity keys and then claim them,
// over the whole change set. A key that passes from one record to another of the same directory is not touched.
func (w *writes) identityKeys(c *store.ChangeSet) {
	type place struct {
		kind      store.Kind
		directory store.Key
		folded    string
	}
	net := map[place]int{}
	add := func(kind store.Kind, directory store.Key, keys []string, n int) {
		for _, k := range keys {
			if k != "" {
				net[place{kind, directory, k}] += n
			}
		}
	}
	for i := range c.Users {
		u := &c.Users[i]
		if u.Before != nil {
			add(store.KindUser, u.Before.Directory, u.Release, -1)
		}
		add(store.KindUser, u.After.Directory, u.Claim, 1)
	}
	for i := range c.Groups {
		g := &c.Groups[i]
		if g.Before != nil {
			add(store.KindGroup, g.Before.Directory, []string{g.Release}, -1)
		}
		add(store.KindGroup, g.After.Directory, []string{g.Claim}, 1)
	}
	by := map[holding][]string{}
	for p, n := range net {
		if n != 0 {
			h := holding{p.kind, p.directory, n}
			by[h] = append(by[h], p.folded)
		}
	}
	order := slices.SortedFunc(maps.Keys(by), func(a, b holding) int {
		if (a.count < 0) != (b.count < 0) {
			return a.count // releases first
		}
		return compareHoldings(a, b)
	})
	for _, h := range order {
		keys := by[h]
		slices.Sort(keys)
		if h.count < 0 {
			w.add(w.release(c.Org, h, keys)...)
		} else {
			w.add(w.claim(c.Org, h, keys))
		}
	}
}

func compareHoldings(a, b holding) int {
	switch {
	case a.kind != b.kind:
		if a.kind < b.kind {
			return -1
		}
		return 1
	case a.directory != b.directory:
		return int(a.directory - b.directory)
	}
	return a.count - b.count
}

func (t *tx) release(org store.Key, h holding, keys []string) []statement {
	f, arg := t.texts(keys)
	where := " WHERE org_id = ? AND kind = ? AND directory_id = ? AND folded IN (SELECT v FROM " + f + " AS k)"
	args := []any{org, string(h.kind), h.directory, arg}
	n := -h.count
	var out []statement
	if t.e.postgres && len(keys) > 1 { // in order, so that releases cannot wait for each other
		out = append(out, statement{query: "SELECT 1 FROM identity_key" + where + " ORDER BY folded FOR UPDATE", args: args, want: -1})
	}
	return append(out,
		statement{query: "DELETE FROM identity_key" + where + " AND holders <= ?", args: append(slices.Clone(args), n), want: -1},
		statement{query: "UPDATE identity_key SET holders = holders - ?" + where + " AND holders > ?", args: append(append([]any{n}, args...), n), want: -1})
}

// claim takes keys that are free or held by the same directory. Another holder's row
// is not changed, so that fewer rows than keys are.
func (t *tx) claim(org store.Key, h holding, keys []string) statement {
	t.grew("identity_key", len(keys))
	f, arg := t.texts(keys)
	return statement{
		query: "INSERT INTO identity_key (folded, kind, org_id, directory_id, holders) SELECT k.v, CAST(? AS text), CAST(? AS bigint), CAST(? AS bigint), CAST(? AS integer) FROM " + f + ` AS k WHERE true ORDER BY k.v
			ON CONFLICT (folded, kind, org_id) DO UPDATE SET holders = identity_key.holders + excluded.holders
			WHERE identity_key.directory_id = excluded.directory_id`,
		args: []any{string(h.kind), org, h.directory, h.count, arg},
		want: int64(len(keys)),
	}
}
