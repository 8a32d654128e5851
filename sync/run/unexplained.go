package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// unexplained says why what cannot be found must not be taken for deleted. An account
// that has lost the right to see entries, or to search by their stable ids, finds
// nobody; a full read sees that it is so, or is held, but a few records of which an
// incremental run looks at are no more than the guard allows. So a record is gone only
// if the directory has told so, or listed what is there without it, and if there is
// anybody whom the account can find.
func (g *gathering) unexplained(ctx context.Context) (why string, err error) {
	if !g.r.directory.Settings.ReplicateState {
		return "", nil // nothing would be deleted
	}
	away := false
	var silent []string // not found, and not told of
	for _, id := range slices.Sorted(maps.Keys(g.known)) {
		switch {
		case g.entries[id] != nil:
		case g.f.Deleted(id), g.f.Listed() && g.f.Missing(id):
			away = true
		default:
			silent = append(silent, id)
		}
	}
	if len(silent) > 0 {
		exist, err := g.f.Lookup(ctx, silent)
		if err != nil {
			return "", sourceError{err}
		}
		for _, id := range silent {
			if _, ok := exist[id]; !ok {
				return fmt.Sprintf("the entry with the stable id %s cannot be found, and the directory has not told that it was deleted", id), nil
			}
		}
	}
	if !away {
		return "", nil
	}
	switch sees, err := g.f.Sees(ctx); {
	case err != nil:
		return "", sourceError{err}
	case !sees:
		return "entries were deleted, and no other user or group can be found", nil
	}
	return "", nil
}
