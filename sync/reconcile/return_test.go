package reconcile_test

import (
	"context"
	"testing"

	"github.com/provost-scim/provost/store"
)

// push states one user or group of the directory scim and returns the outcome.
func (w *world) pushUser(t *testing.T, u store.UserStatement) store.User {
	t.Helper()
	out, err := w.reconciler.Reconcile(context.Background(), store.Statement{Org: w.org, Directory: w.scim, Origin: store.OriginPush, Users: []store.UserStatement{u}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Users[0]
}

func (w *world) pushGroup(t *testing.T, g store.GroupStatement) store.Group {
	t.Helper()
	out, err := w.reconciler.Reconcile(context.Background(), store.Statement{Org: w.org, Directory: w.scim, Origin: store.OriginPush, Groups: []store.GroupStatement{g}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Groups[0]
}

// members are the ids of a group's stated and published members.
func (w *world) members(t *testing.T, group store.Key) (stated, published []store.ID) {
	t.Helper()
	err := w.store.View(context.Background(), func(r store.Reader) error {
		for effective, into := range map[bool]*[]store.ID{false: &stated, true: &published} {
			page, err := r.Members(context.Background(), store.MemberQuery{Org: w.org, Group: group, Effective: effective})
			if err != nil {
				return err
			}
			for _, m := range page.Items {
				*into = append(*into, m.ID)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return stated, published
}

func TestMembershipsOfAUserThatReturns(t *testing.T) {
	w := newWorld(t)
	name := "Team"
	tests := []struct {
		name          string
		before, after string // externalId when first created, and when created again
		removed       bool   // the group's client removes the deleted user in between
		same, member  bool
	}{
		{"rule 7: the same stable id brings the memberships back", "x", "x", false, true, true},
		{"rule 7: not those that were removed while the user was deleted", "x", "x", true, true, false},
		{"rule 7: without a stable id on one side it returns in no group", "", "", false, true, false},
		{"rule 7: a stable id that the record had not is no proof either", "", "x", false, true, false},
		{"rule 7: another stable id is another person", "x", "y", false, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := w.organize(); err != nil {
				t.Fatal(err)
			}
			ann := store.Attributes{UserName: "ann@" + w.domain()}
			first := w.pushUser(t, store.UserStatement{ExternalID: tt.before, Attributes: ann})
			ref := []store.MemberRef{{ID: first.ID}}
			group := w.pushGroup(t, store.GroupStatement{DisplayName: &name, Members: store.MemberStatement{Add: ref}})
			w.pushUser(t, store.UserStatement{Record: store.RecordKey{ID: first.ID}, Presence: store.Gone})
			if tt.removed {
				w.pushGroup(t, store.GroupStatement{Record: store.RecordKey{ID: group.ID}, Members: store.MemberStatement{Remove: ref}})
			}
			again := w.pushUser(t, store.UserStatement{ExternalID: tt.after, Attributes: ann})
			if got := again.ID == first.ID; got != tt.same {
				t.Errorf("the same record returns: %v, want %v", got, tt.same)
			}
			stated, published := w.members(t, group.Key)
			if got := len(stated) == 1; got != tt.member || len(stated) != len(published) {
				t.Errorf("the group states %v and publishes %v; want it a member: %v", stated, published, tt.member)
			}
		})
	}
}

func TestAStableIDIsNotForgottenByAReturnWithoutOne(t *testing.T) {
	w := newWorld(t)
	if err := w.organize(); err != nil {
		t.Fatal(err)
	}
	ann := store.Attributes{UserName: "ann@" + w.domain()}
	first := w.pushUser(t, store.UserStatement{ExternalID: "old", Attributes: ann})
	left := store.UserStatement{Record: store.RecordKey{ID: first.ID}, Presence: store.Gone}
	w.pushUser(t, left)
	w.pushUser(t, store.UserStatement{Attributes: ann})
	w.pushUser(t, left)
	if stranger := w.pushUser(t, store.UserStatement{ExternalID: "new", Attributes: ann}); stranger.ID == first.ID {
		t.Error("a stranger with a recycled name got the leaver's record")
	}

	name, old, none := "Team", "old", ""
	group := w.pushGroup(t, store.GroupStatement{DisplayName: &name, ExternalID: &old})
	gone := store.GroupStatement{Record: store.RecordKey{ID: group.ID}, Presence: store.Gone}
	w.pushGroup(t, gone)
	if again := w.pushGroup(t, store.GroupStatement{DisplayName: &name, ExternalID: &none}); again.ID != group.ID || again.ExternalID != old {
		t.Errorf("without an id the group returns as %s %q, want %s %q", again.ID, again.ExternalID, group.ID, old)
	}
	w.pushGroup(t, gone)
	other := "new"
	if stranger := w.pushGroup(t, store.GroupStatement{DisplayName: &name, ExternalID: &other}); stranger.ID == group.ID {
		t.Error("a group with another id got the record of the one that was deleted")
	}
}

func TestReleaseGivesNobodyAnything(t *testing.T) {
	w := newWorld(t)
	if err := w.organize(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	pull := func(s store.Statement) {
		t.Helper()
		s.Org, s.Directory, s.Origin = w.org, w.ldap, store.OriginPull
		if _, err := w.reconciler.Reconcile(ctx, s); err != nil {
			t.Fatal(err)
		}
		for more := true; more; {
			err := w.store.Update(ctx, func(tx store.Tx) (err error) {
				_, more, err = w.reconciler.PublishTx(ctx, tx, store.Publication{Org: w.org, Directory: w.ldap, Rows: 100}, 0)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	off := false
	user := func(ext string) store.UserStatement {
		return store.UserStatement{Record: store.RecordKey{ExternalID: ext}, ExternalID: ext, Attributes: store.Attributes{UserName: ext + "@" + w.domain()}}
	}
	disabled := user("disabled")
	disabled.Active = &off
	pull(store.Statement{Users: []store.UserStatement{user("here"), user("left"), disabled}})
	name, ext := "Team", "team"
	team := store.GroupStatement{Record: store.RecordKey{ExternalID: ext}, ExternalID: &ext, DisplayName: &name,
		Members: store.MemberStatement{Mode: store.MembersReplace, Add: []store.MemberRef{{ExternalID: "here"}}}}
	pull(store.Statement{Groups: []store.GroupStatement{team}})
	team.Presence = store.Left
	left := user("left")
	left.Presence = store.Left
	pull(store.Statement{Users: []store.UserStatement{left}, Groups: []store.GroupStatement{team}})

	if err := w.reconciler.Release(ctx, w.org, w.ldap, store.Cause{}); err != nil {
		t.Fatal(err)
	}
	var group *store.Group
	err := w.store.View(ctx, func(r store.Reader) (err error) {
		for ext, active := range map[string]bool{"here": true, "left": false, "disabled": false} {
			u, err := r.User(ctx, w.org, ext+"@"+w.domain())
			if err != nil {
				return err
			}
			if u.Active() != active || !active && (u.Enabled || !u.Stated || u.OutOfScope) {
				t.Errorf("%s: %+v; want it active: %v, by the administrator's switch alone", ext, u, active)
			}
		}
		group, err = r.Group(ctx, w.org, name)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if stated, published := w.members(t, group.Key); len(stated)+len(published) > 0 {
		t.Errorf("a group that had left the scope states %v and publishes %v", stated, published)
	}
}

// Two records of one stable id are legal in a push: whether externalId is unique is the
// client's affair.
func TestWhoReturnsOfSeveralWithOneStableID(t *testing.T) {
	w := newWorld(t)
	ext := "shared"
	type made struct{ user, group store.ID }
	tests := []struct {
		name    string
		deleted []string // names of records that were made with the stable id, in the order of their deletion
		live    []string // and of those that stay
		states  string
		returns string // whose record returns; "" for a new one
	}{
		{"the only one returns under another name", []string{"a"}, nil, "x", "a"},
		{"of two the one that had the name, though it was deleted first", []string{"a", "b"}, nil, "a", "a"},
		{"of two the one that had the name, though it was deleted last", []string{"a", "b"}, nil, "b", "b"},
		{"neither, if it has the name of none", []string{"a", "b"}, nil, "x", ""},
		{"not the leaver, while another has the stable id", []string{"a"}, []string{"b"}, "x", ""},
		{"but who has the stable id and the name", []string{"a"}, []string{"b"}, "a", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := w.organize(); err != nil {
				t.Fatal(err)
			}
			state := func(name string) made {
				u := w.pushUser(t, store.UserStatement{ExternalID: ext, Attributes: store.Attributes{UserName: name + "@" + w.domain()}})
				g := w.pushGroup(t, store.GroupStatement{ExternalID: &ext, DisplayName: &name})
				return made{u.ID, g.ID}
			}
			records := map[string]made{"": {}}
			for _, name := range append(tt.deleted, tt.live...) {
				records[name] = state(name)
			}
			for _, name := range tt.deleted {
				w.pushUser(t, store.UserStatement{Record: store.RecordKey{ID: records[name].user}, Presence: store.Gone})
				w.pushGroup(t, store.GroupStatement{Record: store.RecordKey{ID: records[name].group}, Presence: store.Gone})
			}
			got, want := state(tt.states), records[tt.returns]
			for name, made := range records {
				if is := got.user == made.user; is != (name != "" && name == tt.returns) {
					t.Errorf("the user is that of %q: %v; want that of %q", name, is, tt.returns)
				}
				if is := got.group == made.group; is != (name != "" && name == tt.returns) {
					t.Errorf("the group is that of %q: %v; want that of %q", name, is, tt.returns)
				}
			}
			if tt.returns != "" && got != want {
				t.Errorf("%v returned, want %v", got, want)
			}
		})
	}
}
