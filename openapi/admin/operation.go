package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/store"
)

// ownersOnly are the operations that need an owner's token.
var ownersOnly = map[string]bool{
	"listTokens": true, "createToken": true, "revokeToken": true,
	"createOrganization": true, "vouchDomain": true,
}

// slow are the operations that change many records before they answer; they get
// twenty times the time, and can be called again.
var slow = map[string]bool{"deleteDirectory": true}

// followed are the operations that a client may ask to be a stream.
var followed = map[string]bool{"listEvents": true}

// operation is one entry of the specification.
type operation struct {
	id    string
	route *routers.Route  // to validate a request with
	query map[string]bool // the names of its query parameters
}

// operationsOf lists the operations by method and path as echo writes it, and
// fails if one of those named in this package is not among them.
func operationsOf(doc *openapi3.T) (map[string]*operation, error) {
	// The document keeps to what OpenAPI 3.0 and 3.1 have in common, and the older
	// validator says which field is wrong and why.
	older := *doc
	older.OpenAPI = "3.0.3"
	all, ids := map[string]*operation{}, map[string]bool{}
	for path, item := range older.Paths.Map() {
		for method, op := range item.Operations() {
			// The generator embeds the names with a capital, as they are in Go.
			op.OperationID = strings.ToLower(op.OperationID[:1]) + op.OperationID[1:]
			ids[op.OperationID] = true
			o := &operation{
				id:    op.OperationID,
				route: &routers.Route{Spec: &older, Path: path, PathItem: item, Method: method, Operation: op},
				query: map[string]bool{},
			}
			for _, params := range []openapi3.Parameters{item.Parameters, op.Parameters} {
				for _, p := range params {
					if p.Value.In == openapi3.ParameterInQuery {
						o.query[p.Value.Name] = true
					}
				}
			}
			all[method+" "+Base+echoPath(path)] = o
		}
	}
	for _, named := range []map[string]bool{ownersOnly, slow, followed} {
		for id := range named {
			if !ids[id] {
				return nil, fmt.Errorf("the specification has no operation %s", id)
			}
		}
	}
	return all, nil
}

// publish writes the specification as JSON for clients, without what it tells the
// generator of Go code.
func publish(doc *openapi3.T) ([]byte, error) {
	text, err := doc.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("write the specification as JSON: %w", err)
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		return nil, fmt.Errorf("read the specification: %w", err)
	}
	dropExtensions(tree)
	return json.Marshal(tree)
}

func dropExtensions(node any) {
	switch v := node.(type) {
	case map[string]any:
		for name, child := range v {
			if strings.HasPrefix(name, "x-") {
				delete(v, name)
				continue
			}
			dropExtensions(child)
		}
	case []any:
		for _, child := range v {
			dropExtensions(child)
		}
	}
}

// echoPath writes /users/{user} as /users/:user.
func echoPath(path string) string {
	return strings.NewReplacer("{", ":", "}", "").Replace(path)
}

// operation returns the one that echo has routed to, or nil if there is none.
func (s *Server) operation(c echo.Context) *operation {
	return s.operations[c.Request().Method+" "+c.Path()]
}

// authorize holds the operation against the principal's role.
func (s *Server) authorize(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		op := s.operation(c)
		if op == nil {
			return next(c) // echo's own 404 or 405
		}
		p := auth.PrincipalOf(c.Request().Context())
		switch {
		case ownersOnly[op.id] && !p.Owns():
			return &store.Error{Code: store.CodeForbidden, Message: "this needs an owner's token; " + p.Name + " has the role " + string(p.Role)}
		case c.Request().Method != http.MethodGet && !p.Writes():
			return &store.Error{Code: store.CodeForbidden, Message: "an auditor only reads", Hint: "use the token of an admin or owner"}
		}
		return next(c)
	}
}
