package reconcile

import "github.com/provost-scim/provost/store"

// claimant is one stated record that wants a name which is unique within its
// directory (rule 2): userName, or a group's displayName.
type claimant struct {
	current  store.Key // the record as it is stored, 0 if it is new
	held     string    // the folded name that it holds now; "" if it is new
	wants    string    // the folded name that it wants; "" if it states none
	stable   string    // the stable id, by which contests are decided
	gives    bool      // it is being deleted: its name becomes free
	rejected bool      // it does not get the name, and keeps what it has
}

// contend decides who gets which name, on the end state of the statement: a name
// may be taken from a record that gives it up in the same statement, whether by
// another name or by its deletion. The holder keeps a contested name, else the
// lowest stable id has it. holders are the live holders of the wanted names.
//
// Rejecting one claimant keeps it on its old name, which may reject others, so it
// is repeated until nothing changes; each round rejects at least one.
func contend(all []*claimant, holders map[string]store.Key) {
	byKey := make(map[store.Key]*claimant, len(all))
	for _, c := range all {
		if c.current != 0 {
			byKey[c.current] = c
		}
	}
	for again := true; again; {
		again = false
		winner := make(map[string]*claimant, len(all))
		for _, c := range all {
			if c.rejected || c.gives || c.wants == "" {
				continue
			}
			if best := winner[c.wants]; best == nil || before(c, best) {
				winner[c.wants] = c
			}
		}
		for _, c := range all {
			if c.rejected || c.gives || c.wants == "" {
				continue
			}
			if winner[c.wants] != c || occupied(c, holders, byKey) {
				c.rejected = true
				again = true
			}
		}
	}
}

// before reports whether a wins over b: the holder first, then the lowest stable id.
func before(a, b *claimant) bool {
	if keepsA, keepsB := a.held == a.wants, b.held == b.wants; keepsA != keepsB {
		return keepsA
	}
	return a.stable < b.stable
}

// occupied reports whether the name that c wants stays with another record.
func occupied(c *claimant, holders map[string]store.Key, byKey map[store.Key]*claimant) bool {
	holder, ok := holders[c.wants]
	if !ok || holder == c.current {
		return false
	}
	other := byKey[holder]
	if other == nil {
		return true // not spoken of in this statement
	}
	if other.gives {
		return false
	}
	return other.rejected || other.wants == "" || other.wants == c.wants
}
