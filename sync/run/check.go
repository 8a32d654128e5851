package run

import (
	"context"

	"github.com/provost-scim/provost/store"
)

// Checker is a [Source] that can say step by step whether it can be read.
type Checker interface {
	// Check changes nothing, and takes bounded time.
	Check(ctx context.Context) []store.CheckStep
}

// Check tries a live directory, given by name or id, step by step. Settings that
// could never work are its first step. It changes nothing, neither here nor there.
func (e *Engine) Check(ctx context.Context, org store.Key, directory string) ([]store.CheckStep, error) {
	leave, err := e.enter()
	if err != nil {
		return nil, err
	}
	defer leave()
	var d *store.Directory
	err = e.store.View(ctx, func(r store.Reader) (err error) {
		d, err = r.Directory(ctx, org, directory)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := pullable(d); err != nil {
		return nil, err
	}
	source, err := e.opt.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	checker, ok := source.(Checker)
	if !ok {
		return nil, store.Errorf(store.CodeInvalid, "the directory %s cannot be checked", d.Name)
	}
	return checker.Check(ctx), nil
}
