package gormstore

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/provost-scim/provost/store"
)

// Containers finds containers by hash.
func (r *reader) Containers(ctx context.Context, directory store.Key, hashes []string) (map[string]string, error) {
	found := map[string]string{}
	if len(hashes) == 0 {
		return found, nil
	}
	f, list := r.texts(hashes)
	type container struct{ hash, dn string }
	scan := func(s scanner) (c container, err error) {
		err = s.Scan(&c.hash, &c.dn)
		return c, err
	}
	all, err := collect(ctx, r.session, scan,
		"SELECT c.hash, c.dn FROM "+f+" AS k JOIN container AS c ON c.hash = k.v AND c.directory_id = ?", list, directory)
	if err != nil {
		return nil, fmt.Errorf("find containers: %w", err)
	}
	for _, c := range all {
		found[c.hash] = c.dn
	}
	return found, nil
}

// NoteContainers writes those that are new, in one order, so that writers do not wait for
// each other in a circle.
func (t *tx) NoteContainers(ctx context.Context, org, directory store.Key, dns map[string]string) error {
	if len(dns) == 0 {
		return nil
	}
	rows := make([][]any, 0, len(dns))
	for _, hash := range slices.Sorted(maps.Keys(dns)) {
		rows = append(rows, []any{org, directory, hash, dns[hash]})
	}
	err := t.insertRows(ctx, "container", []string{"org_id", "directory_id", "hash", "dn"}, rows, " ON CONFLICT (directory_id, hash) DO NOTHING")
	if err != nil {
		return fmt.Errorf("note %d containers: %w", len(dns), err)
	}
	return nil
}
