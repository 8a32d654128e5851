package run_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/provost-scim/provost/store"
)

// What an incremental run does not find is deleted only if the directory has told so,
// and if there is anybody who can be found: else everything is read.
func TestWhatCannotBeFoundIsNotTakenForDeletedByARunOfChanges(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.fake.teller = &teller{cookie: 1}
		e, _ := w.engine(w.store)
		w.pulled(e, people(4)...)
		leave := func(id string) func() {
			return func() {
				w.fake.users = slices.DeleteFunc(w.fake.users, func(e store.Entry) bool { return e.ExternalID == id })
			}
		}
		for _, step := range []struct {
			id, because string
			silent      []string
			blind       bool
		}{
			{id: "id-000", silent: []string{"id-000"}, because: "the entry with the stable id id-000 cannot be found, and the directory has not told"},
			{id: "id-001", blind: true, because: "no other user or group can be found"},
			{id: "id-002"},
		} {
			w.fake.happens(leave(step.id), step.id)
			w.fake.change(func() { w.fake.teller.silent, w.fake.teller.blind = step.silent, step.blind })
			r := w.pull(e)
			if r.Incremental != (step.because == "") || !strings.Contains(r.FullBecause, step.because) || r.Counts.Users.Deleted != 1 {
				t.Errorf("%s: incremental is %v, full because %q, %d deleted", step.id, r.Incremental, r.FullBecause, r.Counts.Users.Deleted)
			}
			w.fake.change(func() { w.fake.teller.told = nil })
		}
	})
}
