package scim

import (
	"net/http"
	"strings"
	"time"

	"github.com/provost-scim/provost/scim/dialect"
	"github.com/provost-scim/provost/scim/filter"
	"github.com/provost-scim/provost/scim/patch"
	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// bulkIDPrefix begins a reference to a record that another operation creates
// (RFC 7644 section 3.7.2).
const bulkIDPrefix = "bulkId:"

// operation is one operation of a Bulk.
type operation struct {
	method  string
	bulkID  string
	ifMatch string
	kind    store.Kind
	target  string   // id or bulkId reference of the resource that is changed; "" in a POST
	newID   store.ID // of the resource that a POST creates, unless it returns

	user    store.UserStatement // in POST and PUT
	changes []patch.Operation   // in PATCH of a user, or of a group that selects
	group   store.GroupStatement
	selects bool // it removes members by a filter, which the store answers when its turn comes

	references []string // bulkIds that it names

	done    bool
	err     error    // why it was refused; set before it is done, too
	id      store.ID // of the resource, once it is done
	version int64
}

// newOperation reads one operation. What is wrong with it is its error.
func newOperation(from dialect.BulkOperation, now time.Time) *operation {
	o := &operation{method: from.Method, bulkID: from.BulkID, ifMatch: from.Version}
	if from.Err != nil {
		o.fail(from.Err)
		return o
	}
	if err := o.route(from.Path); err != nil {
		o.fail(err)
		return o
	}
	if err := o.read(from.Data); err != nil {
		o.fail(err)
		return o
	}
	if o.method == http.MethodPost {
		o.newID = store.NewID(now)
	}
	return o
}

// fail makes an error that of the operation, unless it has one. It is done when its
// turn comes.
func (o *operation) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

func (o *operation) endpoint() string {
	switch o.kind {
	case store.KindUser:
		return schema.Users.Endpoint
	case store.KindGroup:
		return schema.Groups.Endpoint
	}
	return ""
}

// route reads the path: /Users, /Groups/ID, /Users/bulkId:x.
func (o *operation) route(path string) error {
	endpoint, id, _ := strings.Cut(strings.Trim(strings.TrimPrefix(path, BasePath), "/"), "/")
	switch "/" + endpoint {
	case schema.Users.Endpoint:
		o.kind = store.KindUser
	case schema.Groups.Endpoint:
		o.kind = store.KindGroup
	default:
		return store.Errorf(store.CodeNotFound, "no resource type is served at the path %q; use /Users, /Groups, or one of their resources", shortened(path))
	}
	o.target = id
	switch o.method {
	case http.MethodPost:
		if id != "" {
			return &statusError{http.StatusMethodNotAllowed, "", "POST is not allowed on a resource; use the path " + o.endpoint()}
		}
		if o.bulkID == "" {
			return &statusError{http.StatusBadRequest, "invalidSyntax", "POST needs a bulkId"}
		}
		return nil
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return &statusError{http.StatusBadRequest, "invalidSyntax", "method must be POST, PUT, PATCH or DELETE"}
	}
	if id == "" {
		return &statusError{http.StatusMethodNotAllowed, "", o.method + " is not allowed on " + o.endpoint() + "; name a resource"}
	}
	if !o.refer(id) && !store.ValidID(id) {
		return notFound(o.kind, id)
	}
	return nil
}

// refer notes a reference, and reports whether s is one.
func (o *operation) refer(s string) bool {
	name, ok := strings.CutPrefix(s, bulkIDPrefix)
	if ok {
		o.references = append(o.references, name)
	}
	return ok
}

// read reads the data.
func (o *operation) read(data any) error {
	switch {
	case o.method == http.MethodDelete:
		return nil
	case data == nil:
		return &statusError{http.StatusBadRequest, "invalidSyntax", o.method + " needs data"}
	case o.kind == store.KindUser:
		return o.readUser(data)
	default:
		return o.readGroup(data)
	}
}

func (o *operation) readUser(data any) (err error) {
	if o.method == http.MethodPatch {
		if o.changes, err = dialect.PatchData(data); err != nil {
			return err
		}
		for i := range o.changes {
			o.referIn(o.changes[i].Value)
		}
		return nil
	}
	canonical, err := dialect.UserData(data)
	if err != nil {
		return err
	}
	if o.user, err = decodeUser(canonical); err != nil {
		return err
	}
	o.refer(managerOf(&o.user))
	return nil
}

// referIn notes whatever may be a reference in the value of a PATCH operation. Which
// it is shows when the operation has been applied.
func (o *operation) referIn(value any) {
	switch v := value.(type) {
	case string:
		o.refer(v[strings.LastIndexByte(v, '/')+1:])
	case []any:
		for _, e := range v {
			o.referIn(e)
		}
	case map[string]any:
		for _, e := range v {
			o.referIn(e)
		}
	}
}

func (o *operation) readGroup(data any) error {
	if o.method == http.MethodPatch {
		changes, err := dialect.PatchData(data)
		if err != nil {
			return err
		}
		later := func(filter.Expr, bool, []string) ([]string, error) {
			o.selects, o.changes = true, changes
			return nil, patch.ErrUndecided
		}
		if o.group, err = patchedGroup(o.target, changes, later); err != nil {
			return err
		}
	} else {
		body, err := dialect.GroupData(data)
		if err != nil {
			return err
		}
		o.group = groupStatement(&body)
		if o.method == http.MethodPost {
			o.group.Members.Mode = store.MembersReplace
		}
	}
	for _, ref := range o.group.Members.Add {
		o.refer(string(ref.ID))
	}
	for _, ref := range o.group.Members.Remove {
		o.refer(string(ref.ID))
	}
	return nil
}

// onlyMembers reports whether the operation adds and removes members of a group and
// does nothing else, so that it can be added to another such.
func (o *operation) onlyMembers() bool {
	g := &o.group
	return o.kind == store.KindGroup && o.method == http.MethodPatch && !o.selects && g.Members.Mode == store.MembersDelta &&
		g.DisplayName == nil && g.ExternalID == nil && g.Description == nil
}

func managerOf(s *store.UserStatement) string {
	if e := s.Attributes.Enterprise; e != nil && e.Manager != nil {
		return e.Manager.Value
	}
	return ""
}
