package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// MaxHits is the most entries that one search returns.
const MaxHits = 100

// maxSearches bounds the searches and checks under way in one process: each holds a
// connection to an LDAP server.
const maxSearches = 8

// enter takes one of the places for searches and checks, or refuses.
func (e *Engine) enter() (leave func(), err error) {
	select {
	case e.searches <- struct{}{}:
		return func() { <-e.searches }, nil
	default:
		return nil, store.Errorf(store.CodeBusy, "%d searches and checks are under way already; try again shortly", maxSearches)
	}
}

// Searcher is a [Source] that can be asked for single entries.
type Searcher interface {
	// Search returns at most limit entries, users first, and whether there are more.
	// Groups come without members.
	Search(ctx context.Context, q store.DirectorySearch, limit int) (found []store.Entry, more bool, err error)
}

// Search asks a live directory, given by name or id, for at most limit entries (from
// 1 to [MaxHits]), and judges each as a run would now. It changes nothing, neither
// here nor there.
func (e *Engine) Search(ctx context.Context, org store.Key, directory string, q store.DirectorySearch, limit int) (*store.SearchResult, error) {
	if limit < 1 || limit > MaxHits {
		err := store.Errorf(store.CodeInvalid, "limit must be 1 to %d, not %d", MaxHits, limit)
		err.Field = "limit"
		return nil, err
	}
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
		return nil, fmt.Errorf("open the directory %s: %w", d.Name, err)
	}
	searcher, ok := source.(Searcher)
	if !ok {
		return nil, store.Errorf(store.CodeInvalid, "the directory %s cannot be searched", d.Name)
	}
	found, more, err := searcher.Search(ctx, q, limit)
	if err != nil {
		return nil, fmt.Errorf("search the directory %s: %w", d.Name, err)
	}
	hits, err := e.judgeHits(ctx, d, found)
	if err != nil {
		return nil, err
	}
	return &store.SearchResult{Hits: hits, More: more}, nil
}

// judgeHits plans one statement of all entries, as a window of a run is planned, and
// writes nothing.
func (e *Engine) judgeHits(ctx context.Context, d *store.Directory, found []store.Entry) ([]store.SearchHit, error) {
	hits := make([]store.SearchHit, len(found))
	want := store.Statement{Org: d.Org, Directory: d.Key, Origin: store.OriginPull}
	var users, groups []int // hits, by their place in the statement
	for i := range found {
		entry := &found[i]
		hit := &hits[i]
		hit.Kind, hit.ExternalID, hit.DN = entry.Kind, entry.ExternalID, strings.Clone(entry.DN)
		hit.Name, hit.DisplayName = strings.Clone(entry.Attributes.UserName), strings.Clone(entry.Attributes.DisplayName)
		if entry.Kind == store.KindGroup {
			hit.Name = strings.Clone(entry.DisplayName)
		}
		if len(entry.ExternalID) > maxID || entry.ExternalID == "" && entry.Invalid == "" {
			entry.Invalid = "the entry has no usable stable id"
		}
		record := store.RecordKey{ExternalID: entry.ExternalID}
		switch {
		case entry.Invalid != "":
			hit.Status, hit.Outcome, hit.Reason = store.HitRefused, store.Refused, entry.Invalid
		case entry.Kind == store.KindUser:
			users = append(users, i)
			want.Users = append(want.Users, store.UserStatement{
				Record: record, ExternalID: entry.ExternalID, Active: entry.Active, Attributes: entry.Attributes,
			})
		default:
			groups = append(groups, i)
			want.Groups = append(want.Groups, store.GroupStatement{
				Record: record, ExternalID: &entry.ExternalID, DisplayName: &entry.DisplayName, Description: &entry.Description,
			})
		}
	}
	if len(users)+len(groups) == 0 {
		return hits, nil
	}
	var out *reconcile.Planned
	err := e.store.Update(ctx, func(tx store.Tx) (err error) {
		out, err = e.reconciler.Preview(ctx, tx, want)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("judge what was found: %w", err)
	}
	for n, i := range append(users, groups...) {
		judgeHit(&hits[i], &out.Results[n])
	}
	return hits, nil
}

func judgeHit(hit *store.SearchHit, r *store.Result) {
	hit.Outcome, hit.With = r.Outcome, r.With
	if r.Key > 0 { // a record to be created has a provisional one
		hit.ID = r.ID
	}
	if r.Err != nil {
		hit.Reason = r.Err.Message
	}
	switch r.Outcome {
	case store.Created, store.Claimed:
		hit.Status = store.HitNew
	case store.Duplicated:
		hit.Status = store.HitConflict
	case store.Refused:
		hit.Status = store.HitRefused
	default:
		hit.Status = store.HitSynchronized
	}
}
