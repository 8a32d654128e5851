package scim

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

const listSchema = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

// defaultCount is how many resources a page holds when the client does not say.
const defaultCount = 100

// listResponse is RFC 7644 section 3.4.2; a page has an index or, by RFC 9865, cursors
// to its neighbours. Resources is a list even when it is empty.
type listResponse struct {
	Schemas        []string `json:"schemas"`
	TotalResults   int      `json:"totalResults"`
	StartIndex     int      `json:"startIndex,omitempty"`
	ItemsPerPage   int      `json:"itemsPerPage"`
	PreviousCursor string   `json:"previousCursor,omitempty"`
	NextCursor     string   `json:"nextCursor,omitempty"`
	Resources      []any    `json:"Resources"`
}

// list serves the list of one resource type, or of several as one (RFC 7644 section
// 3.4.2.1).
func (s *Server) list(types ...*schema.ResourceType) handler {
	return func(c *call) error {
		p, err := c.projections(types)
		if err != nil {
			return err
		}
		q, at, err := c.query(types)
		if err != nil {
			return err
		}
		var read listed
		err = s.Store.View(c.ctx(), func(r store.Reader) error {
			read, err = c.read(r, q, types, p)
			return err
		})
		if err != nil {
			return err
		}
		out := listResponse{
			Schemas: []string{listSchema}, TotalResults: read.Total, StartIndex: q.Offset + 1,
			ItemsPerPage: len(read.Items), Resources: []any{},
		}
		if at != nil {
			if !q.Count {
				out.TotalResults = at.total
			}
			out.StartIndex = 0
			out.NextCursor, out.PreviousCursor = at.neighbours(c.listName(types), read.Positions, read.More, out.TotalResults)
		}
		return s.send(c, out, read, p)
	}
}

// read reads a page, and of its resources what their projections want.
func (c *call) read(r store.Reader, q store.Query, types []*schema.ResourceType, p projections) (out listed, err error) {
	q.Groups = p.wants(schema.Users, "groups")
	switch {
	case len(types) > 1:
		out.Page, err = r.Resources(c.ctx(), q)
	case types[0] == schema.Users:
		var page store.Page[store.User]
		q.Text = p[schema.Users].whole()
		page, err = r.Users(c.ctx(), q)
		out.Page = resources(page, func(u *store.User) store.Resource { return store.Resource{User: u} })
	default:
		var page store.Page[store.Group]
		page, err = r.Groups(c.ctx(), q)
		out.Page = resources(page, func(g *store.Group) store.Resource { return store.Resource{Group: g} })
	}
	if err != nil {
		return out, err
	}
	if p.wants(schema.Groups, "members") {
		if err = out.countNested(c, r); err == nil {
			err = out.readMembers(c, r, 0)
		}
	}
	return out, err
}

func resources[T any](page store.Page[T], of func(*T) store.Resource) store.Page[store.Resource] {
	out := store.Page[store.Resource]{Positions: page.Positions, Total: page.Total, More: page.More, Memberships: page.Memberships}
	for i := range page.Items {
		out.Items = append(out.Items, of(&page.Items[i]))
	}
	return out
}

// render is the JSON that is sent of one resource of a list.
func (c *call) render(item store.Resource, of listed, p projections) ([]byte, error) {
	var resource any
	var err error
	switch {
	case item.User == nil:
		resource, err = p[schema.Groups].apply(c.renderGroup(item.Group, of.members[item.Group.Key]))
	case item.User.Text != nil:
		return c.userText(item.User, of.Memberships[item.User.Key])
	default:
		resource, err = p[schema.Users].apply(c.renderUser(item.User, of.Memberships[item.User.Key]))
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(resource)
}

// projections say of each resource type of a list which attributes are sent.
type projections map[*schema.ResourceType]*projection

func (c *call) projections(types []*schema.ResourceType) (projections, error) {
	out := projections{}
	for _, t := range types {
		p, err := c.project(t)
		if err != nil {
			return nil, err
		}
		out[t] = p
	}
	return out, nil
}

func (p projections) wants(of *schema.ResourceType, attribute string) bool {
	return p[of] != nil && p[of].wants(attribute)
}

// query reads filter, sortBy, startIndex and count (RFC 7644 section 3.4.2), or cursor
// and count (RFC 9865), of which it returns the cursor.
func (c *call) query(types []*schema.ResourceType) (q store.Query, at *cursor, err error) {
	q = store.Query{Org: c.caller.Org, Directory: &c.caller.Directory, Base: c.base, Count: true}
	if c.params.Has("cursor") {
		if at, err = c.turnPage(types, &q); err != nil {
			return q, nil, err
		}
	}
	start, err := c.number("startIndex", 1)
	if err != nil {
		return q, nil, err
	}
	count, err := c.number("count", defaultCount)
	if err != nil {
		return q, nil, err
	}
	q.Offset = max(start, 1) - 1
	q.Limit = min(max(count, 0), MaxResults)
	if q.Sort, err = c.sort(types); err != nil {
		return q, nil, err
	}
	if f := c.param("filter"); f != "" {
		tree, err := filter.Parse(f)
		if err != nil {
			return q, nil, err
		}
		if q.Filter, err = condition(types, tree); err != nil {
			return q, nil, err
		}
	}
	return q, at, nil
}

// sort reads sortBy and sortOrder (RFC 7644 section 3.4.2.3).
func (c *call) sort(types []*schema.ResourceType) (*store.Sort, error) {
	by, order := c.param("sortBy"), c.param("sortOrder")
	if by == "" {
		return nil, nil //nolint:nilnil // no order was asked for
	}
	descending := strings.EqualFold(order, "descending")
	if order != "" && !descending && !strings.EqualFold(order, "ascending") {
		return nil, store.Errorf(store.CodeInvalid, "sortOrder must be ascending or descending")
	}
	path, ok := resolve(types, strings.TrimSpace(by))
	if !ok || path.Attribute == nil {
		return nil, store.Errorf(store.CodeInvalid, "sortBy names no attribute of a %s", names(types))
	}
	path = path.Value()
	if path.Leaf().Type == schema.Complex {
		return nil, store.Errorf(store.CodeInvalid, "sortBy names the complex attribute %s; name one of its sub-attributes", path)
	}
	return &store.Sort{Field: store.Field(path.String()), Descending: descending}, nil
}

func (c *call) number(name string, absent int) (int, error) {
	s := c.param(name)
	if s == "" {
		return absent, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil && !errors.Is(err, strconv.ErrRange) { // out of range it is the nearest number that fits
		return 0, store.Errorf(store.CodeInvalid, "%s must be an integer", name)
	}
	return n, nil
}

// resolve finds an attribute of the first of the types that has it. Attributes of one
// path mean the same in all of them.
func resolve(types []*schema.ResourceType, path string) (schema.Path, bool) {
	urn, name, sub := schema.Split(path)
	return lookup(types, urn, name, sub)
}

func lookup(types []*schema.ResourceType, urn, name, sub string) (path schema.Path, ok bool) {
	for _, t := range types {
		if path, ok = t.Lookup(urn, name, sub); ok {
			break
		}
	}
	return path, ok
}

func names(types []*schema.ResourceType) string {
	var list []string
	for _, t := range types {
		list = append(list, t.Name)
	}
	return strings.Join(list, " or ")
}
