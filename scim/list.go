package scim

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

const listSchema = "urn:ietf:params:scim:api:messages:2.0:ListResponse"

// defaultCount is how many resources a page holds when the client does not say.
const defaultCount = 100

// pageMembers bounds the members of all groups of one page together.
const pageMembers = 100_000

// listResponse is RFC 7644 section 3.4.2; a page has an index or, by RFC 9865, a
// cursor to the next. Resources is a list even when it is empty.
type listResponse struct {
	Schemas      []string `json:"schemas"`
	TotalResults int      `json:"totalResults"`
	StartIndex   int      `json:"startIndex,omitempty"`
	ItemsPerPage int      `json:"itemsPerPage"`
	NextCursor   string   `json:"nextCursor,omitempty"`
	Resources    []any    `json:"Resources"`
}

// query reads filter, startIndex and count (RFC 7644 sections 3.4.2.2 and 3.4.2.4), or
// cursor and count.
func (c *call) query(of *schema.ResourceType) (store.Query, error) {
	q := store.Query{Org: c.caller.Org, Directory: &c.caller.Directory, Count: true}
	start, err := c.number("startIndex", 1)
	if err != nil {
		return q, err
	}
	count, err := c.number("count", defaultCount)
	if err != nil {
		return q, err
	}
	q.Offset = max(start, 1) - 1
	q.Limit = min(max(count, 0), MaxResults)
	if q.Sort, err = c.sort(of); err != nil {
		return q, err
	}
	if c.params.Has("cursor") {
		if err := c.turnPage(of, &q, count); err != nil {
			return q, err
		}
	}
	if f := c.param("filter"); f != "" {
		tree, err := filter.Parse(f)
		if err != nil {
			return q, err
		}
		if q.Filter, err = condition(of, tree); err != nil {
			return q, err
		}
	}
	return q, nil
}

// sort reads sortBy and sortOrder (RFC 7644 section 3.4.2.3).
func (c *call) sort(of *schema.ResourceType) (*store.Sort, error) {
	by, order := c.param("sortBy"), c.param("sortOrder")
	if by == "" {
		return nil, nil //nolint:nilnil // no order was asked for
	}
	descending := strings.EqualFold(order, "descending")
	if order != "" && !descending && !strings.EqualFold(order, "ascending") {
		return nil, store.Errorf(store.CodeInvalid, "sortOrder must be ascending or descending")
	}
	path, ok := of.Resolve(strings.TrimSpace(by))
	if !ok || path.Attribute == nil {
		return nil, store.Errorf(store.CodeInvalid, "sortBy names no attribute of a %s", of.Name)
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

// listUsers is GET /Users.
func (s *Server) listUsers(c *call) error {
	p, err := c.project(schema.Users)
	if err != nil {
		return err
	}
	q, err := c.query(schema.Users)
	if err != nil {
		return err
	}
	var page store.Page[store.User]
	groups := map[store.Key][]store.Membership{}
	err = s.Store.View(c.ctx(), func(r store.Reader) error {
		if page, err = r.Users(c.ctx(), q); err != nil || !p.wants("groups") || len(page.Items) == 0 {
			return err
		}
		keys := make([]store.Key, len(page.Items))
		for i := range page.Items {
			keys[i] = page.Items[i].Key
		}
		memberships, err := r.Memberships(c.ctx(), c.caller.Org, keys)
		for _, m := range memberships {
			groups[m.User] = append(groups[m.User], m)
		}
		return err
	})
	if err != nil {
		return err
	}
	return answerList(c, p, q, page, func(u *store.User) store.Key { return u.Key }, func(u *store.User) any { return c.renderUser(u, groups[u.Key]) })
}

// listGroups is GET /Groups.
func (s *Server) listGroups(c *call) error {
	p, err := c.project(schema.Groups)
	if err != nil {
		return err
	}
	q, err := c.query(schema.Groups)
	if err != nil {
		return err
	}
	var page store.Page[store.Group]
	var members map[store.Key][]store.Member
	err = s.Store.View(c.ctx(), func(r store.Reader) error {
		if page, err = r.Groups(c.ctx(), q); err != nil || !p.wants("members") || len(page.Items) == 0 {
			return err
		}
		if few := affordable(page.Items); len(few) < len(page.Items) {
			page.Items, page.More = few, true
		}
		keys := make([]store.Key, len(page.Items))
		for i := range page.Items {
			keys[i] = page.Items[i].Key
		}
		members, err = r.MembersOf(c.ctx(), c.caller.Org, keys)
		return err
	})
	if err != nil {
		return err
	}
	return answerList(c, p, q, page, func(g *store.Group) store.Key { return g.Key }, func(g *store.Group) any { return c.renderGroup(g, members[g.Key]) })
}

// affordable shortens a page of groups to about [pageMembers] members, but to no less
// than one group. A server may return fewer than count (RFC 7644 section 3.4.2.4).
func affordable(groups []store.Group) []store.Group {
	total := 0
	for i := range groups {
		if total += groups[i].EffectiveCount; total > pageMembers && i > 0 {
			return groups[:i]
		}
	}
	return groups
}

func answerList[T any](c *call, p *projection, q store.Query, page store.Page[T], key func(*T) store.Key, render func(*T) any) error {
	out := listResponse{
		Schemas: []string{listSchema}, TotalResults: page.Total, StartIndex: q.Offset + 1,
		ItemsPerPage: len(page.Items), Resources: make([]any, 0, len(page.Items)),
	}
	if c.params.Has("cursor") {
		out.StartIndex = 0
		if n := len(page.Items); n > 0 {
			out.NextCursor = c.next(p.of, key(&page.Items[n-1]), page.More)
		}
	}
	for i := range page.Items {
		r, err := p.apply(render(&page.Items[i]))
		if err != nil {
			return err
		}
		out.Resources = append(out.Resources, r)
	}
	return respond(c, http.StatusOK, out)
}
