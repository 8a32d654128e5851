package main

import (
	"context"

	"github.com/provost-scim/provost/store"
)

// keepRecords makes the records of a directory that is being deleted internal
// (rule 1). A directory that has none is simply deleted.
func (p *program) keepRecords(ctx context.Context, org, directory store.Key, _ store.Cause) error {
	var users, groups int
	err := p.store.View(ctx, func(r store.Reader) (err error) {
		users, _, groups, err = r.CountRecords(ctx, org, directory)
		return err
	})
	if err != nil || users+groups == 0 {
		return err
	}
	return &store.Error{
		Code: store.CodeConflict, Field: "users",
		Message: "the users and groups of a directory cannot be made internal by this version",
		Hint:    "leave the directory with its schedule off, or delete it with its users",
	}
}
