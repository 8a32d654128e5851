package scim

import (
	"bytes"
	"encoding/json"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// userResource is a User as it is sent (RFC 7643 section 4.1). Nothing in it is
// null, and what is empty is left out.
type userResource struct {
	userHead
	store.Attributes
	Enterprise *enterprise `json:"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User,omitempty"` // in place of that of Attributes
	userTail
}

// userHead is what stands before a user's attributes.
type userHead struct {
	Schemas    []string `json:"schemas"`
	ID         store.ID `json:"id"`
	ExternalID string   `json:"externalId,omitempty"`
}

// userTail is what stands after a user's attributes.
type userTail struct {
	Active bool       `json:"active"`
	Groups []groupRef `json:"groups,omitempty"`
	Meta   *meta      `json:"meta,omitempty"`
}

// enterprise is the enterprise extension with the manager's location.
type enterprise struct {
	*store.Enterprise
	Manager *managerRef `json:"manager,omitempty"`
}

type managerRef struct {
	Value       string `json:"value,omitempty"`
	Ref         string `json:"$ref,omitempty"`
	DisplayName string `json:"displayName,omitempty"`
}

type groupRef struct {
	Value   store.ID `json:"value"`
	Ref     string   `json:"$ref"`
	Display string   `json:"display"`
	Type    string   `json:"type"` // direct or indirect
}

// groupResource is a Group as it is sent (RFC 7643 section 4.2).
type groupResource struct {
	Schemas     []string        `json:"schemas"`
	ID          store.ID        `json:"id"`
	ExternalID  string          `json:"externalId,omitempty"`
	DisplayName string          `json:"displayName"`
	Members     []memberRef     `json:"members,omitempty"`
	Provost     *groupExtension `json:"urn:provost:params:scim:schemas:extension:1.0:Group,omitempty"`
	Meta        *meta           `json:"meta,omitempty"`
}

type memberRef struct {
	Value   store.ID   `json:"value"`
	Ref     string     `json:"$ref,omitempty"`
	Display string     `json:"display,omitempty"`
	Type    store.Kind `json:"type"`
}

type groupExtension struct {
	Description    string `json:"description,omitempty"`
	EffectiveCount int    `json:"effectiveCount"`
	OverCap        bool   `json:"overCap"`
}

type meta struct {
	ResourceType string `json:"resourceType"`
	Created      string `json:"created"`
	LastModified string `json:"lastModified"`
	Location     string `json:"location"`
	Version      string `json:"version"`
}

// renderUser shows a user to its directory.
func (c *call) renderUser(u *store.User, groups []store.Membership) *userResource {
	e := u.Attributes.Enterprise
	r := &userResource{userHead: headOf(u, e != nil), Attributes: u.Attributes, userTail: c.tailOf(u, groups)}
	if e != nil {
		r.Enterprise = &enterprise{Enterprise: e}
		if m := e.Manager; m != nil {
			r.Enterprise.Manager = &managerRef{Value: m.Value, DisplayName: m.DisplayName}
			if store.ValidID(m.Value) {
				r.Enterprise.Manager.Ref = c.location("/Users/", store.ID(m.Value))
			}
		}
	}
	return r
}

func headOf(u *store.User, enterprise bool) userHead {
	h := userHead{[]string{schema.UserURN}, u.ID, u.ExternalID}
	if enterprise {
		h.Schemas = append(h.Schemas, schema.EnterpriseUserURN)
	}
	return h
}

// tailOf is the end of a user's resource. active is what the directory itself said
// (rule 7).
func (c *call) tailOf(u *store.User, groups []store.Membership) userTail {
	t := userTail{
		Active: u.Stated,
		Meta:   &meta{"User", timestamp(u.CreatedAt), timestamp(u.ModifiedAt), c.location("/Users/", u.ID), etag(u.Version)},
	}
	for _, g := range groups {
		ref := groupRef{g.Group, c.location("/Groups/", g.Group), g.DisplayName, "indirect"}
		if g.Direct {
			ref.Type = "direct"
		}
		t.Groups = append(t.Groups, ref)
	}
	return t
}

// Names in the text of a user's attributes. Within a string the quotes would be escaped.
var (
	enterpriseName = []byte(`"` + schema.EnterpriseUserURN + `":`)
	managerName    = []byte(`"manager":`)
)

// userText is the JSON of renderUser of a user with [store.User.Text], which always has
// a userName and is passed on as it is: to decode and encode it is some 8 % of the
// server's work for a look-up. A manager is shown with a location that is not stored.
func (c *call) userText(u *store.User, groups []store.Membership) ([]byte, error) {
	if bytes.Contains(u.Text, managerName) {
		decoded := *u
		if err := json.Unmarshal(u.Text, &decoded.Attributes); err != nil {
			return nil, err
		}
		return json.Marshal(c.renderUser(&decoded, groups))
	}
	head, err := json.Marshal(headOf(u, bytes.Contains(u.Text, enterpriseName)))
	if err != nil {
		return nil, err
	}
	tail, err := json.Marshal(c.tailOf(u, groups))
	if err != nil {
		return nil, err
	}
	text := make([]byte, 0, len(head)+len(u.Text)+len(tail))
	text = append(append(text, head[:len(head)-1]...), ',')
	text = append(append(text, u.Text[1:len(u.Text)-1]...), ',')
	return append(text, tail[1:]...), nil
}

func (c *call) renderGroup(g *store.Group, members []store.Member) *groupResource {
	r := &groupResource{
		Schemas: []string{schema.GroupURN, schema.ProvostGroupURN}, ID: g.ID, ExternalID: g.ExternalID, DisplayName: g.DisplayName,
		Provost: &groupExtension{g.Description, g.EffectiveCount, g.OverCap},
		Meta:    &meta{"Group", timestamp(g.CreatedAt), timestamp(g.ModifiedAt), c.location("/Groups/", g.ID), etag(g.Version)},
	}
	for _, m := range members {
		ref := memberRef{Value: m.ID, Display: m.DisplayName, Type: m.Kind}
		if ref.Display == "" {
			ref.Display = m.UserName
		}
		if m.Directory == c.caller.Directory { // what another directory took over (rule 1) is not served here
			ref.Ref = c.location("/"+string(m.Kind)+"s/", m.ID)
		}
		r.Members = append(r.Members, ref)
	}
	return r
}

func (c *call) location(path string, id store.ID) string { return c.base + path + string(id) }
