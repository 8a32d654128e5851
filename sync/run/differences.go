package run

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Invalid is the presence of a staged entry that cannot become a record: its body
// is an [InvalidEntry], and applying it opens a finding and changes nothing.
const Invalid store.Presence = "invalid"

// Absent is the presence of a staged entry that is not in the directory any more and
// that was never made a record: applying it only lets its findings be resolved.
const Absent store.Presence = "absent"

// InvalidEntry is the body of a staged row whose presence is [Invalid].
type InvalidEntry struct {
	Name     string `json:"name,omitempty"`
	Sentence string `json:"sentence"`
}

func (r *reading) stageUser(n *node, body store.StagedUser, content []byte, manager, dn string) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("encode the user %q: %w", n.id, err)
	}
	return r.stager.add(store.Staged{
		Phase: store.StageUsers, Kind: store.KindUser, ExternalID: n.id, Body: encoded,
		Hash: slices.Clone(content), Keys: body.Attributes.IdentityKeys(), Weight: 1,
		Manager: manager, DN: strings.Clone(dn), Known: n.is(known),
	})
}

func (r *reading) stageInvalid(phase store.StagePhase, kind store.Kind, id, dn, name, why string) error {
	encoded, err := json.Marshal(InvalidEntry{Name: name, Sentence: why})
	if err != nil {
		return fmt.Errorf("encode an invalid entry: %w", err)
	}
	return r.stager.add(store.Staged{
		Phase: phase, Kind: kind, ExternalID: id, Presence: Invalid, Body: encoded, Weight: 1, DN: strings.Clone(dn),
	})
}

// invalidRecord names an entry that cannot become a record: by its stable id, else
// by its DN, shortened so that it can be indexed.
func invalidRecord(id, dn string) string {
	const longest = 400
	if id != "" || len(dn) <= longest {
		if id != "" {
			return id
		}
		return dn
	}
	sum := sha256.Sum256([]byte(dn))
	return strings.ToValidUTF8(dn[:longest], "") + " " + hex.EncodeToString(sum[:8])
}

// stageGroups compares every group in scope, now that its members are known.
func (r *reading) stageGroups() error {
	for i := range r.graph.groups {
		g := &r.graph.groups[i]
		if !g.within || !r.only.wantsGroup(int32(i)) {
			continue
		}
		id := ""
		if g.node != none {
			id = r.index.node(g.node).id
		}
		if g.invalid != "" {
			if err := r.stageInvalid(store.StageGroups, store.KindGroup, id, g.dn, g.name, g.invalid); err != nil {
				return err
			}
			continue
		}
		if err := r.stageGroup(r.index.node(g.node), g); err != nil {
			return err
		}
	}
	return nil
}

func (r *reading) stageGroup(n *node, g *group) error {
	members, unread := r.index.members(r.graph, g)
	r.unread += unread
	content := r.hash.group(g.dn, g.name, g.description, members)
	if n.is(known|hashed) && n.hash == withManager(content[:], "") && !n.is(outOfScope) {
		r.counts.Groups.Unchanged++
		return nil
	}
	encoded, err := json.Marshal(store.StagedGroup{DisplayName: g.name, Description: g.description, Members: members})
	if err != nil {
		return fmt.Errorf("encode the group %q: %w", n.id, err)
	}
	return r.stager.add(store.Staged{
		Phase: store.StageGroups, Kind: store.KindGroup, ExternalID: n.id, Body: encoded, Hash: content[:],
		Keys: []string{store.Fold(g.name)}, Weight: max(len(members), 1), DN: g.dn, Known: n.is(known),
	})
}

// stageManagers stages users whose entry is what it was, but whose manager's DN has
// come to name another entry. They were not staged when they were read, so they are
// restated from what is stored, which is what their entry says.
func (r *reading) stageManagers(ctx context.Context) error {
	managers := map[string]string{} // by the user's stable id
	var users []int32
	for _, d := range r.deferred {
		n := r.index.node(d.node)
		if d.staged {
			continue
		}
		manager := r.manager(d.manager)
		if n.hash != withManager(n.hash[:contentSize], manager) {
			managers[n.id] = manager
			users = append(users, d.node)
		}
	}
	for batch := range slices.Chunk(users, 500) {
		if err := r.restate(ctx, batch, managers); err != nil {
			return fmt.Errorf("restate users whose manager is another: %w", err)
		}
	}
	return nil
}

// manager returns the stable id of the entry that was read and bears an interned DN, or "".
func (r *reading) manager(dn int32) string {
	if m := r.graph.bearer[dn]; m != none && !r.index.node(m).is(outside) {
		return r.index.node(m).id
	}
	return ""
}

func (r *reading) restate(ctx context.Context, nodes []int32, managers map[string]string) error {
	var stored []store.User
	err := r.w.e.store.View(ctx, func(v store.Reader) error {
		stored = stored[:0]
		refs := make([]store.MemberRef, len(nodes))
		for i, n := range nodes {
			refs[i] = store.MemberRef{ExternalID: r.index.node(n).id}
		}
		edges, err := v.Resolve(ctx, r.directory.Org, r.directory.Key, refs)
		if err != nil {
			return err
		}
		keys := make([]store.Key, 0, len(refs))
		for _, edge := range edges {
			if edge.Kind == store.KindUser {
				keys = append(keys, edge.Key)
			}
		}
		slices.Sort(keys)
		ids, err := v.IDs(ctx, r.directory.Org, store.KindUser, keys)
		if err != nil {
			return err
		}
		for _, key := range keys {
			user, err := v.User(ctx, r.directory.Org, string(ids[key]))
			if store.CodeOf(err) == store.CodeNotFound {
				continue // deleted since; the next run sees it
			}
			if err != nil {
				return err
			}
			stored = append(stored, *user)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i := range stored {
		u := &stored[i]
		n := r.index.node(r.index.at(store.KindUser, u.ExternalID))
		a := u.Attributes
		if a.Enterprise != nil {
			enterprise := *a.Enterprise
			enterprise.Manager = nil
			a.Enterprise = &enterprise
			if enterprise == (store.Enterprise{}) {
				a.Enterprise = nil
			}
		}
		body := store.StagedUser{Active: &u.Stated, Attributes: a}
		if err := r.stageUser(n, body, n.hash[:contentSize], managers[n.id], ""); err != nil {
			return err
		}
		r.counts.Users.Unchanged--
	}
	return nil
}

// amendWaiting is amend for rows that still wait to be written.
func (r *reading) amendWaiting() {
	if len(r.deferred) == 0 {
		return
	}
	users := r.stager.users()
	for i := range r.deferred {
		d := &r.deferred[i]
		if !d.staged {
			continue
		}
		if row := users[r.index.node(d.node).id]; row != nil {
			row.Manager, d.staged = r.manager(d.manager), false
		}
	}
}

// amend sets the managers of staged users whose entries came before their
// managers'.
func (r *reading) amend(ctx context.Context) error {
	batch := map[string]string{}
	write := func() error {
		err := r.w.update(ctx, func(tx store.Tx, run *store.Run) error {
			return tx.AmendManagers(ctx, run.Key, batch)
		})
		clear(batch)
		return err
	}
	for _, d := range r.deferred {
		manager := r.manager(d.manager)
		if !d.staged || manager == "" {
			continue
		}
		batch[r.index.node(d.node).id] = manager
		if len(batch) >= r.w.e.opt.BatchRows {
			if err := write(); err != nil {
				return err
			}
		}
	}
	if len(batch) > 0 {
		return write()
	}
	return nil
}

// lookupBatch is how many stable ids one call of [Source.Lookup] asks for.
const lookupBatch = 5_000

// stageMissing stages records that are stored and were not read in scope (rule 7).
// A stored record whose entry was read is known to exist; the others are looked up.
func (r *reading) stageMissing(ctx context.Context) error {
	var missing []int32
	look := func() error {
		ids := make([]string, len(missing))
		for i, n := range missing {
			ids[i] = r.index.node(n).id
		}
		exist, err := r.lookup(ctx, ids)
		if err != nil {
			return sourceError{err}
		}
		for _, i := range missing {
			n := r.index.node(i)
			dn, ok := exist[n.id]
			if ok {
				r.elsewhere(dn, i)
			}
			if !r.only.names(i) {
				continue
			}
			if !ok && r.unrecognised(n) {
				r.leaveAsItIs(n)
				continue
			}
			if err := r.stageAway(n, ok, dn); err != nil {
				return err
			}
		}
		missing = missing[:0]
		return nil
	}
	for i := range r.graph.groups {
		if g := &r.graph.groups[i]; g.within && g.node != none {
			r.index.node(g.node).flags |= within
		}
	}
	// A full read that stages groups has to know where their members are that were not read.
	all := r.loading != nil && r.only.hasGroups()
	for i := range r.index.count {
		n := r.index.node(i)
		switch {
		case !n.is(known) || n.is(within) || !all && !r.only.names(i):
		case n.is(read):
			if !r.only.names(i) {
				continue
			}
			if err := r.stageAway(n, true, ""); err != nil {
				return err
			}
		default:
			if missing = append(missing, i); len(missing) == lookupBatch {
				if err := look(); err != nil {
					return err
				}
			}
		}
	}
	if len(missing) > 0 {
		if err := look(); err != nil {
			return err
		}
	}
	return nil
}

// elsewhere keeps that a record whose entry was not read has a DN now. Whoever left the
// scope stays a member of the groups that name it (rule 7).
func (r *reading) elsewhere(dn string, node int32) {
	if i := r.graph.dns.find(r.graph.key(dn)); i != none && r.graph.bearer[i] == none {
		r.graph.bearer[i] = node
		r.index.node(node).flags |= outside
	}
}

// unrecognised reports whether a record that cannot be found may be one of the entries
// that were read without a stable id: whoever may not read it of an entry can neither
// recognise the entry nor find it. As long as there are any, nobody of the kind is taken
// for deleted; each of them is a finding.
func (r *reading) unrecognised(n *node) bool {
	at := 0
	if n.is(isUser) {
		at = 1
	}
	return r.anonymous[at] > 0
}

func (r *reading) leaveAsItIs(n *node) {
	switch {
	case n.is(outOfScope):
	case n.is(isUser):
		r.counts.Users.Unchanged++
	default:
		r.counts.Groups.Unchanged++
	}
}

// stageAway stages a record that left the scope or is gone.
func (r *reading) stageAway(n *node, exists bool, dn string) error {
	row := store.Staged{Phase: store.StageGone, Kind: store.KindGroup, ExternalID: n.id, Presence: store.Gone, Weight: 1, DN: strings.Clone(dn), Known: true}
	if n.is(isUser) {
		row.Kind = store.KindUser
	}
	switch {
	case exists && n.is(outOfScope):
		return nil // as it was
	case exists:
		row.Presence = store.Left
		r.losses.leaves(n)
	case !r.directory.Settings.ReplicateState:
	case n.is(isUser):
		r.losses.usersDeleted++
		r.places.lose(n)
	default:
		r.losses.groupsRemoved++
		r.places.lose(n)
	}
	return r.stager.add(row)
}
