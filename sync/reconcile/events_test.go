package reconcile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

func TestRule11EveryChangeIsOneEventThatTellsWhoWhatBeforeAfterAndWhy(t *testing.T) {
	cause := store.Cause{Actor: store.Actor{Kind: "run", ID: "run-1", Name: "corp"}, Reason: "scheduled"}
	gone := store.UserStatement{ExternalID: "a", Presence: store.Gone}
	titled := states("a", "ann@corp.test")
	titled.Attributes.Title = "Chief"
	const ann = `"id":"ann@corp.test-id","external_id":"a","active":true,"stated":true,"enabled":true,"out_of_scope":false,"attributes":{"userName":"ann@corp.test"}`
	there := func() *store.Snapshot { return snapshot(corp(nil), person(1, "a", "ann@corp.test")) }

	tests := []struct {
		name string
		have *store.Snapshot
		want store.UserStatement
		is   []string // type, resource, data
	}{
		{"a new user is told whole", snapshot(corp(nil)), states("a", "ann@corp.test"), []string{
			store.EventUserCreated, "new-a",
			`{"after":{"id":"new-a","external_id":"a","active":true,"stated":true,"enabled":true,"out_of_scope":false,"attributes":{"userName":"ann@corp.test"}}}`,
		}},
		{"a deleted user is told whole", there(), gone, []string{store.EventUserDeleted, "ann@corp.test-id", `{"before":{` + ann + `}}`}},
		{"of a changed user only the difference is told", there(), titled, []string{
			store.EventUserUpdated, "ann@corp.test-id",
			`{"before":{"attributes":{}},"after":{"attributes":{"title":"Chief"}}}`,
		}},
		{"what changes nothing is no event", there(), states("a", "ann@corp.test"), nil},
		{"what is refused is no event", snapshot(corp(nil)), states("a", "ann@new.test"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := pull(tt.want)
			want.Cause = cause
			cs := reconcile.Plan(tt.have, want, policy())
			var is []string
			for _, e := range cs.Events {
				is = append(is, e.Type, string(e.Resource), string(e.Data))
				if diff := cmp.Diff(cause, e.Cause); diff != "" || !e.Time.Equal(now) || e.Org != 1 || e.Directory != 7 {
					t.Errorf("%s of organization %d and directory %d at %s by (-want +got):\n%s", e.Type, e.Org, e.Directory, e.Time, diff)
				}
			}
			if diff := cmp.Diff(tt.is, is); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
