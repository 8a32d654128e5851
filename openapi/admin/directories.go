package admin

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// ListDirectories lists a page of the organization's directories by name.
func (s *Server) ListDirectories(ctx context.Context, req openapi.ListDirectoriesRequestObject) (openapi.ListDirectoriesResponseObject, error) {
	after, err := placeName(cursorDirectories, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	q := store.DirectoryQuery{Org: orgOf(ctx), Kind: store.DirectoryKind(deref(req.Params.Kind)), After: after, Limit: limitOf(req.Params.Limit)}
	var out openapi.ListDirectories200JSONResponse
	err = s.Store.View(ctx, func(r store.Reader) error {
		page, err := r.DirectoryPage(ctx, q)
		out.Items = make([]openapi.Directory, len(page.Items))
		for i := range page.Items {
			out.Items[i] = s.renderDirectory(&page.Items[i])
		}
		out.NextCursor = nextByName(cursorDirectories, &page, func(d *store.Directory) string { return store.Fold(d.Name) })
		return err
	})
	return out, err
}

// CreateDirectory creates a directory with the default settings and those given.
func (s *Server) CreateDirectory(ctx context.Context, req openapi.CreateDirectoryRequestObject) (openapi.CreateDirectoryResponseObject, error) {
	now := s.now()
	kind := store.DirectoryKind(req.Body.Kind)
	d := store.Directory{
		ID: store.NewID(now), Org: orgOf(ctx), Kind: kind, Settings: store.DefaultSettings(kind),
		CreatedAt: now, UpdatedAt: now,
	}
	edit := openapi.DirectoryPatch{Name: &req.Body.Name, Settings: req.Body.Settings, BindPassword: req.Body.BindPassword}
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		fresh := d
		if err := s.edit(ctx, tx, &fresh, &edit); err != nil {
			return err
		}
		if err := tx.CreateDirectory(ctx, &fresh); err != nil {
			return err
		}
		d = fresh
		return s.log(ctx, tx, change{
			org: d.Org, directory: d.Key, typ: store.EventDirectoryCreated, kind: "Directory", id: d.ID, after: describe(&d),
		})
	})
	return openapi.CreateDirectory201JSONResponse(s.renderDirectory(&d)), err
}

// GetDirectory returns a directory with its counts.
func (s *Server) GetDirectory(ctx context.Context, req openapi.GetDirectoryRequestObject) (openapi.GetDirectoryResponseObject, error) {
	var out openapi.Directory
	var revision int64
	err := s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		out, revision = s.renderDirectory(d), d.Revision
		out.Counts = &openapi.DirectoryCounts{}
		if out.Counts.Users, out.Counts.ActiveUsers, out.Counts.Groups, err = r.CountRecords(ctx, d.Org, d.Key); err != nil {
			return err
		}
		if out.NextRunAt, err = s.nextRun(ctx, r, d); err != nil {
			return err
		}
		handovers, err := r.HandoverPage(ctx, store.HandoverQuery{Org: d.Org, Directory: d.Key})
		if len(handovers.Items) > 0 {
			list := renderHandovers(handovers.Items)
			out.Handovers = &list
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	tag := entityTag(revision, &out)
	if isKnown(req.Params.IfNoneMatch, tag) {
		return openapi.GetDirectory304Response{Headers: openapi.GetDirectory304ResponseHeaders{ETag: tag}}, nil
	}
	return openapi.GetDirectory200JSONResponse{Body: out, Headers: openapi.GetDirectory200ResponseHeaders{ETag: tag}}, nil
}

// nextRun is when the schedule of a directory starts its next run; nil if it does not.
func (s *Server) nextRun(ctx context.Context, r store.Reader, d *store.Directory) (*time.Time, error) {
	if d.Settings.LDAP == nil {
		return nil, nil
	}
	due, err := r.Due(ctx, d.Key)
	if err != nil || len(due) == 0 {
		return nil, err
	}
	at, err := s.NextRun(d.Settings.LDAP.Schedule, due[0].LastRun)
	return optional(at.UTC()), err
}

// UpdateDirectory changes what is given. A change that changes nothing writes
// nothing.
func (s *Server) UpdateDirectory(ctx context.Context, req openapi.UpdateDirectoryRequestObject) (openapi.UpdateDirectoryResponseObject, error) {
	var d *store.Directory
	var next *time.Time
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		before, err := tx.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		if err := matches(req.Params.IfMatch, before.Revision); err != nil {
			return err
		}
		// Read twice, so that no list of one is shared with the other.
		if d, err = tx.DirectoryByKey(ctx, before.Key); err != nil {
			return err
		}
		if d.Revision != before.Revision {
			return store.Errorf(store.CodeStale, "directory %q is being changed by someone else", d.Name)
		}
		if err := s.edit(ctx, tx, d, req.Body); err != nil {
			return err
		}
		if next, err = s.nextRun(ctx, tx, d); err != nil {
			return err
		}
		if reflect.DeepEqual(before, d) {
			return nil
		}
		d.UpdatedAt = s.now()
		if err := tx.UpdateDirectory(ctx, d); err != nil {
			return err
		}
		was, is := describe(before), describe(d)
		is.SecretChanged = !bytes.Equal(before.Secret, d.Secret)
		return s.log(ctx, tx, change{
			org: d.Org, directory: d.Key, typ: store.EventDirectoryUpdated, kind: "Directory", id: d.ID, before: was, after: is,
		})
	})
	if err != nil {
		return nil, raced(req.Params.IfMatch, err)
	}
	s.Auth.Forget() // a limit is remembered with the tokens that it holds for
	out := s.renderDirectory(d)
	out.NextRunAt = next
	return openapi.UpdateDirectory200JSONResponse{
		Body: out, Headers: openapi.UpdateDirectory200ResponseHeaders{ETag: entityTag(d.Revision, &out)},
	}, nil
}

// DeleteDirectory ends the directory's tokens first, so that nothing more is
// pushed, then deals with its users and groups, and deletes it last: if it is cut
// short, calling it again finishes it.
func (s *Server) DeleteDirectory(ctx context.Context, req openapi.DeleteDirectoryRequestObject) (openapi.DeleteDirectoryResponseObject, error) {
	d, err := s.idle(ctx, req.Directory)
	if err != nil {
		return nil, err
	}
	if err := s.claimVersion(ctx, d, req.Params.IfMatch); err != nil {
		return nil, err
	}
	keep := func() error { return s.Keep(ctx, d.Org, d.Key, causeOf(ctx, "directory deleted, users kept")) }
	if req.Params.Users == openapi.DeleteDirectoryParamsUsersKeep {
		if err := keep(); err != nil { // a refusal must leave the tokens good
			return nil, err
		}
	}
	if err := s.silence(ctx, d); err != nil {
		return nil, err
	}
	for pass := 1; ; pass++ { // requests that began before the tokens ended may still write
		if req.Params.Users == openapi.DeleteDirectoryParamsUsersKeep {
			err = keep()
		} else {
			err = s.deleteRecords(ctx, d, causeOf(ctx, "directory deleted with its users"))
		}
		if err != nil {
			return nil, err
		}
		err = s.Store.Update(ctx, func(tx store.Tx) error {
			if err := tx.DeleteDirectory(ctx, d.Org, d.Key, s.now()); err != nil {
				return err
			}
			return s.log(ctx, tx, change{org: d.Org, typ: store.EventDirectoryDeleted, kind: "Directory", id: d.ID, before: describe(d)})
		})
		if err == nil {
			break
		}
		if store.CodeOf(err) != store.CodeConflict || pass == deletePasses {
			return nil, err
		}
	}
	return openapi.DeleteDirectory204Response{}, nil
}

// deletePasses is how often the records of a directory are looked for until there are
// none.
const deletePasses = 10

// recentRuns is how many runs are looked through for one that goes on. Few wait for
// a person that are younger than it.
const recentRuns = 100

// idle finds a directory that no worker is reading or changing, nor is about to.
func (s *Server) idle(ctx context.Context, ref string) (d *store.Directory, err error) {
	err = s.Store.View(ctx, func(r store.Reader) error {
		if d, err = r.Directory(ctx, orgOf(ctx), ref); err != nil {
			return err
		}
		recent, err := r.Runs(ctx, store.RunQuery{Org: d.Org, Directory: &d.Key, Limit: recentRuns})
		if err != nil {
			return err
		}
		for i := range recent {
			run := &recent[i]
			if run.State.Finished() || run.Phase == store.PhaseReady {
				continue
			}
			return &store.Error{Code: store.CodeConflict, Message: fmt.Sprintf("run %s of the directory is going, in phase %s", run.ID, run.Phase),
				Resource: "run " + string(run.ID), Hint: "delete the directory when the run has ended"}
		}
		return nil
	})
	return d, err
}

// claimVersion decides on a condition before anything is given up: it raises the
// version, so that of two changes with the same condition one is made.
func (s *Server) claimVersion(ctx context.Context, d *store.Directory, ifMatch *string) error {
	if ifMatch == nil {
		return nil
	}
	return raced(ifMatch, s.Store.Update(ctx, func(tx store.Tx) error {
		now, err := tx.DirectoryByKey(ctx, d.Key)
		if err != nil {
			return err
		}
		if err := matches(ifMatch, now.Revision); err != nil {
			return err
		}
		return tx.UpdateDirectory(ctx, now)
	}))
}

// silence revokes the tokens of a directory and deletes its bindings.
func (s *Server) silence(ctx context.Context, d *store.Directory) error {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		tokens, err := tx.Tokens(ctx, d.Org, &d.Key)
		if err != nil {
			return err
		}
		for i := range tokens {
			if err := s.revoke(ctx, tx, &tokens[i]); err != nil {
				return err
			}
		}
		bindings, err := tx.OIDCBindings(ctx, d.Org, d.Key)
		if err != nil {
			return err
		}
		for i := range bindings {
			if err := auth.Unbind(ctx, tx, &bindings[i], causeOf(ctx, "REST"), s.now()); err != nil {
				return err
			}
		}
		return nil
	})
	s.Auth.Forget()
	return err
}

// recordsAtOnce is how many records one transaction deletes.
const recordsAtOnce = 500

// deleteRecords states that nothing of the directory exists any more, window by
// window: groups first, so that no user has to be taken out of one.
func (s *Server) deleteRecords(ctx context.Context, d *store.Directory, cause store.Cause) error {
	for {
		st := store.Statement{Org: d.Org, Directory: d.Key, Origin: store.OriginAdmin, Cause: cause}
		err := s.Store.View(ctx, func(r store.Reader) error {
			st.Groups, st.Users = nil, nil
			groups, err := r.Groups(ctx, store.Query{Org: d.Org, Directory: &d.Key, Limit: recordsAtOnce})
			if err != nil {
				return err
			}
			for i := range groups.Items {
				st.Groups = append(st.Groups, store.GroupStatement{Record: store.RecordKey{ID: groups.Items[i].ID}, Presence: store.Gone})
			}
			if len(st.Groups) > 0 {
				return nil
			}
			users, err := r.Users(ctx, store.Query{Org: d.Org, Directory: &d.Key, Limit: recordsAtOnce})
			for i := range users.Items {
				st.Users = append(st.Users, store.UserStatement{Record: store.RecordKey{ID: users.Items[i].ID}, Presence: store.Gone})
			}
			return err
		})
		if err != nil {
			return err
		}
		if len(st.Users)+len(st.Groups) == 0 {
			return nil
		}
		out, err := s.Reconciler.Reconcile(ctx, st)
		if err != nil {
			return err
		}
		if !out.Changed {
			return fmt.Errorf("deleting %d records of directory %s changed nothing", len(st.Users)+len(st.Groups), d.Name)
		}
	}
}

// described is a directory in an event's data: never its secret.
type described struct {
	Name          string              `json:"name"`
	Kind          store.DirectoryKind `json:"kind"`
	Settings      store.Settings      `json:"settings"`
	SecretChanged bool                `json:"secret_changed,omitempty"`
}

func describe(d *store.Directory) *described {
	return &described{Name: d.Name, Kind: d.Kind, Settings: d.Settings}
}

func (s *Server) renderDirectory(d *store.Directory) openapi.Directory {
	return openapi.Directory{
		ID: string(d.ID), Name: d.Name, Kind: openapi.DirectoryKind(d.Kind),
		Settings: renderSettings(&d.Settings), HasSecret: len(d.Secret) > 0,
		CreatedAt: d.CreatedAt, UpdatedAt: d.UpdatedAt, SyncedAt: optional(d.SyncedAt),
		Warnings: s.directoryWarnings(&d.Settings),
	}
}

// owners says which directory is which, to name the owner of a record.
type owners map[store.Key]*store.Directory

func ownersOf(ctx context.Context, r store.Reader, org store.Key) (owners, error) {
	all, err := r.Directories(ctx, org)
	if err != nil {
		return nil, err
	}
	m := make(owners, len(all))
	for i := range all {
		m[all[i].Key] = &all[i]
	}
	return m, nil
}

// name is the directory's name and id; empty for internal records and for a
// directory that is deleted.
func (o owners) name(key store.Key) (name, id string) {
	if d := o[key]; d != nil {
		return d.Name, string(d.ID)
	}
	return "", ""
}

// internalOwner is what a filter calls the owner of internal records.
const internalOwner = "internal"

// ownerFilter finds the directory that a list is narrowed to.
func ownerFilter(ctx context.Context, r store.Reader, ref *string) (*store.Key, error) {
	if ref == nil {
		return nil, nil
	}
	if *ref == internalOwner {
		return new(store.Key), nil
	}
	d, err := r.Directory(ctx, orgOf(ctx), *ref)
	if err != nil {
		return nil, err
	}
	return &d.Key, nil
}
