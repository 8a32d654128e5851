package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// Digest reads all of a directory and hashes its entries as a run does, and compares
// them with nothing. It returns how many there are. A run that changes nothing cannot
// cost less: this is what benchmarks measure it against.
func (e *Engine) Digest(ctx context.Context, d *store.Directory) (entries int, err error) {
	source, err := e.opt.Open(ctx, d)
	if err != nil {
		return 0, sourceError{fmt.Errorf("open the directory: %w", err)}
	}
	index, graph := newIndex(0, 0), newGraph(e.opt.DNKey, 0)
	hash := newHasher(d.Revision, "", e.opt.DNHash)
	all := graph.everything()
	for entry, err := range source.Entries(ctx) {
		if errors.Is(err, Complete) {
			break
		}
		if err != nil {
			return 0, sourceError{err}
		}
		entries++
		node := index.at(entry.Kind, entry.ExternalID)
		if entry.Kind == store.KindGroup {
			graph.addGroup(&entry, node)
			continue
		}
		graph.addUser(&entry, node, all)
		hash.user(&entry)
	}
	for i := range graph.groups {
		g := &graph.groups[i]
		members, _ := index.members(graph, g)
		hash.group(g.dn, g.name, g.description, members)
	}
	return entries, ctx.Err()
}
