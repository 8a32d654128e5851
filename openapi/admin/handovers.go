package admin

import (
	"context"
	"strings"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// handoverNames is between the two names in a cursor: no name has a control character.
const handoverNames = "\n"

// ListHandovers lists a page of the handovers to and from a directory (rule 1).
func (s *Server) ListHandovers(ctx context.Context, req openapi.ListHandoversRequestObject) (openapi.ListHandoversResponseObject, error) {
	after, err := placeName(cursorHandovers, req.Params.Cursor)
	if err != nil {
		return nil, err
	}
	var out openapi.HandoverList
	err = s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.Directory(ctx, orgOf(ctx), req.Directory)
		if err != nil {
			return err
		}
		q := store.HandoverQuery{Org: d.Org, Directory: d.Key, Limit: limitOf(req.Params.Limit)}
		q.AfterTo, q.AfterFrom, _ = strings.Cut(after, handoverNames)
		page, err := r.HandoverPage(ctx, q)
		out.Items = renderHandovers(page.Items)
		out.NextCursor = nextByName(cursorHandovers, &page, func(h *store.Handover) string {
			return store.Fold(h.ToName) + handoverNames + store.Fold(h.FromName)
		})
		return err
	})
	return openapi.ListHandovers200JSONResponse(out), err
}

// StartHandover lets a directory take over the records of another. Plans of the
// directory that were made before it no longer fit.
func (s *Server) StartHandover(ctx context.Context, req openapi.StartHandoverRequestObject) (openapi.StartHandoverResponseObject, error) {
	var h store.Handover
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		from, to, err := sides(ctx, tx, req.Body.From, req.Directory)
		if err != nil {
			return err
		}
		h = store.Handover{Org: to.Org, From: from.Key, To: to.Key, FromName: from.Name, ToName: to.Name, StartedAt: s.now()}
		if p := auth.PrincipalOf(ctx); p != nil {
			h.StartedBy = p.Name
		}
		if err := tx.StartHandover(ctx, &h); err != nil {
			return err
		}
		return s.handoverChanged(ctx, tx, to, change{typ: store.EventHandoverStarted, after: map[string]string{"from": from.Name, "to": to.Name}})
	})
	if err != nil {
		return nil, err
	}
	return openapi.StartHandover201JSONResponse(renderHandover(&h)), nil
}

// EndHandover stops a handover; what has moved stays where it is.
func (s *Server) EndHandover(ctx context.Context, req openapi.EndHandoverRequestObject) (openapi.EndHandoverResponseObject, error) {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		from, to, err := sides(ctx, tx, req.From, req.Directory)
		if err != nil {
			return err
		}
		if err := tx.EndHandover(ctx, to.Org, from.Key, to.Key); err != nil {
			return err
		}
		return s.handoverChanged(ctx, tx, to, change{typ: store.EventHandoverEnded, before: map[string]string{"from": from.Name, "to": to.Name}})
	})
	return openapi.EndHandover204Response{}, err
}

// sides finds the two directories of a handover.
func sides(ctx context.Context, r store.Reader, fromRef, toRef string) (from, to *store.Directory, err error) {
	if to, err = r.Directory(ctx, orgOf(ctx), toRef); err != nil {
		return nil, nil, err
	}
	if from, err = r.Directory(ctx, orgOf(ctx), fromRef); err != nil {
		return nil, nil, err
	}
	if from.Key == to.Key {
		return nil, nil, invalid("from", "name the directory that the records come from", "from: a directory cannot take over its own records")
	}
	return from, to, nil
}

// handoverChanged raises the revision of the directory that takes over, and logs.
func (s *Server) handoverChanged(ctx context.Context, tx store.Tx, to *store.Directory, c change) error {
	to.UpdatedAt = s.now()
	if err := tx.UpdateDirectory(ctx, to); err != nil {
		return err
	}
	c.org, c.directory, c.kind, c.id = to.Org, to.Key, "Directory", to.ID
	return s.log(ctx, tx, c)
}

func renderHandovers(list []store.Handover) []openapi.Handover {
	out := make([]openapi.Handover, len(list))
	for i := range list {
		out[i] = renderHandover(&list[i])
	}
	return out
}

func renderHandover(h *store.Handover) openapi.Handover {
	return openapi.Handover{
		From: h.FromName, To: h.ToName, StartedAt: h.StartedAt, StartedBy: h.StartedBy, UsersMoved: h.UsersMoved, GroupsMoved: h.GroupsMoved,
	}
}
