package reconcile_test

import (
	"context"
	"testing"

	"github.com/provost-scim/provost/store"
)

func TestReleasedRecordsAreInternalAndKeepIDsAndMembers(t *testing.T) {
	w := newWorld(t)
	if err := w.organize(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	ann := "ann@" + w.domain()
	out, err := w.reconciler.Reconcile(ctx, store.Statement{Org: w.org, Directory: w.scim, Origin: store.OriginPush,
		Users: []store.UserStatement{{ExternalID: "a", Attributes: store.Attributes{UserName: ann}}}})
	if err != nil {
		t.Fatal(err)
	}
	user := out.Users[0]
	name := "Team"
	out, err = w.reconciler.Reconcile(ctx, store.Statement{Org: w.org, Directory: w.scim, Origin: store.OriginPush,
		Groups: []store.GroupStatement{{DisplayName: &name, Members: store.MemberStatement{Add: []store.MemberRef{{ID: user.ID}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	group := out.Groups[0]

	if err := w.reconciler.Release(ctx, w.org, w.scim, store.Cause{Reason: "directory deleted"}); err != nil {
		t.Fatal(err)
	}
	err = w.store.View(ctx, func(r store.Reader) error {
		u, err := r.User(ctx, w.org, string(user.ID))
		if err != nil {
			return err
		}
		if u.Directory != 0 || u.ExternalID != "" || !u.Active() {
			t.Errorf("the user is %+v", u)
		}
		members, err := r.Members(ctx, store.MemberQuery{Org: w.org, Group: group.Key, Effective: true})
		if err != nil {
			return err
		}
		if len(members.Items) != 1 || members.Items[0].ID != user.ID {
			t.Errorf("the group has the members %+v", members.Items)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.reconciler.Reconcile(ctx, store.Statement{Org: w.org, Directory: w.other, Origin: store.OriginPush,
		Users: []store.UserStatement{{Attributes: store.Attributes{UserName: ann}}}})
	if store.CodeOf(err) != store.CodeUniqueness {
		t.Errorf("another directory stating the internal user's name gets %v, want a duplicate", err)
	}
}

func TestAnAdministratorsSwitchDoesNotBringAUserBackIntoScope(t *testing.T) {
	w := newWorld(t)
	if err := w.organize(); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	attributes := store.Attributes{UserName: "ann@" + w.domain()}
	key := store.RecordKey{ExternalID: "a"}
	for _, s := range []store.UserStatement{
		{Record: key, ExternalID: "a", Attributes: attributes},
		{Record: key, ExternalID: "a", Presence: store.Left},
	} {
		if _, err := w.reconciler.Reconcile(ctx, store.Statement{Org: w.org, Directory: w.ldap, Origin: store.OriginPull, Users: []store.UserStatement{s}}); err != nil {
			t.Fatal(err)
		}
	}
	off := false
	out, err := w.reconciler.Reconcile(ctx, store.Statement{Org: w.org, Directory: w.ldap, Origin: store.OriginAdmin,
		Users: []store.UserStatement{{Record: key, ExternalID: "a", Attributes: attributes, Enabled: &off}}})
	if err != nil {
		t.Fatal(err)
	}
	if u := out.Users[0]; !u.OutOfScope || u.Enabled {
		t.Errorf("out of scope %v, enabled %v; want it out of scope and switched off", u.OutOfScope, u.Enabled)
	}
}
