package reconcile

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"

	"github.com/provost-scim/provost/store"
)

// Whatever is stated, no name ends with two records, nobody loses a name it did not
// give up, and a free name that is wanted is given to someone.
func TestContestsEndWithOneHolderForEachName(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := []string{"a", "b", "c", "d", "e"}
		holders := map[string]store.Key{}
		var all []*claimant
		for i, name := range names[:rapid.IntRange(0, 5).Draw(t, "stored")] {
			holders[name] = store.Key(i + 1)
			switch rapid.IntRange(0, 3).Draw(t, "spoken of") {
			case 0: // not in the statement
			case 1:
				all = append(all, &claimant{current: store.Key(i + 1), held: name, gives: true})
			default:
				all = append(all, &claimant{current: store.Key(i + 1), held: name, wants: rapid.SampledFrom(names).Draw(t, "wants"), stable: fmt.Sprint(i)})
			}
		}
		for i := range rapid.IntRange(0, 4).Draw(t, "new") {
			all = append(all, &claimant{wants: rapid.SampledFrom(names).Draw(t, "wants"), stable: fmt.Sprint(10 + i)})
		}
		contend(all, holders)

		end := map[string]store.Key{}
		maps.Copy(end, holders)
		for _, c := range all {
			if c.current != 0 && (c.gives || !c.rejected) {
				delete(end, c.held)
			}
		}
		for i, c := range all {
			if c.gives || c.rejected {
				continue
			}
			if other, taken := end[c.wants]; taken {
				t.Fatalf("%q goes to two records, one of them %d", c.wants, other)
			}
			end[c.wants] = store.Key(1000 + i)
		}
		for _, c := range all {
			if !c.gives && c.rejected {
				if _, taken := end[c.wants]; !taken {
					t.Fatalf("%q was wanted and is free, yet nobody has it", c.wants)
				}
			}
		}
	})
}
