package admin

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"github.com/provost-scim/provost/store"
)

// owned refuses to change what a directory owns (rule 1), as field of the request
// would.
func (s *Server) owned(ctx context.Context, directory store.Key, field, resource, hint string) error {
	return s.Store.View(ctx, func(r store.Reader) error {
		d, err := r.DirectoryByKey(ctx, directory)
		if err != nil {
			return err
		}
		return &store.Error{
			Code: store.CodeOwned, Message: "it is owned by the directory " + d.Name + " and read-only here", Field: field, Resource: resource, Hint: hint,
		}
	})
}

// given names the first field that a body states, but for one that may be stated; "" if
// it states none.
func given(body any, but ...string) string {
	b, err := json.Marshal(body)
	if err != nil {
		return ""
	}
	var fields map[string]any
	if json.Unmarshal(b, &fields) != nil {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(but, name) {
			return name
		}
	}
	return ""
}
