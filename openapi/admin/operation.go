package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
)

// Where the specification says which role an operation needs, and that its answer has a
// secret.
const (
	ruleExtension   = "x-provost-role"
	secretExtension = "x-provost-secret"
)

// slow are the operations that change many records before they answer; they get
// twenty times the time, and can be called again.
var slow = map[string]bool{"deleteDirectory": true}

// followed are the operations that a client may ask to be a stream.
var followed = map[string]bool{"listEvents": true, "getRun": true}

// streamed are the operations whose answers are as long as the log.
var streamed = map[string]bool{"exportEvents": true}

// operation is one entry of the specification.
type operation struct {
	id    string
	rule  auth.Rule       // who may call it
	route *routers.Route  // to validate a request with
	query map[string]bool // the names of its query parameters

	idempotent bool // it takes an Idempotency-Key
	secret     bool // its answer has a secret
}

// operationsOf lists the operations by method and path as echo writes it. It fails if
// one does not say who may call it, or one of those named in this package is not
// among them.
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
				rule:  ruleOf(op),
				route: &routers.Route{Spec: &older, Path: path, PathItem: item, Method: method, Operation: op},
				query: map[string]bool{},
			}
			o.secret, _ = op.Extensions[secretExtension].(bool)
			if !o.rule.Known() {
				return nil, fmt.Errorf("the specification gives operation %s no %s that is known", o.id, ruleExtension)
			}
			for _, params := range []openapi3.Parameters{item.Parameters, op.Parameters} {
				for _, p := range params {
					if p.Value.In == openapi3.ParameterInQuery {
						o.query[p.Value.Name] = true
					}
					o.idempotent = o.idempotent || p.Value.Name == idempotencyHeader
				}
			}
			all[method+" "+Base+echoPath(path)] = o
		}
	}
	for _, named := range []map[string]bool{slow, followed, streamed} {
		for id := range named {
			if !ids[id] {
				return nil, fmt.Errorf("the specification has no operation %s", id)
			}
		}
	}
	return all, nil
}

// ruleOf reads which role an operation needs; "" if it says nothing.
func ruleOf(op *openapi3.Operation) auth.Rule {
	text, _ := op.Extensions[ruleExtension].(string)
	return auth.Rule(text)
}

// publish writes the specification as JSON for clients, without what it tells the
// generator of Go code.
func publish(doc *openapi3.T) ([]byte, error) {
	tellRules(doc)
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

// tellRules adds to the description of each operation who may call it, for the page.
func tellRules(doc *openapi3.T) {
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			op.Description = strings.TrimSpace(op.Description + "\n\nFor the role `" + string(ruleOf(op)) + "`.")
		}
	}
}

func dropExtensions(node any) {
	switch v := node.(type) {
	case map[string]any:
		for name, child := range v {
			if strings.HasPrefix(name, "x-") && name != ruleExtension {
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

// IsStream reports whether a request asks for an answer that goes on: server-sent events.
// The interface itself bounds how many there are.
func (s *Server) IsStream(r *http.Request) bool {
	if !wantsStream(r) {
		return false
	}
	op := s.operations[r.Method+" "+s.Route(r)]
	return op != nil && followed[op.id]
}

// operation returns the one that echo has routed to, or nil if there is none.
func (s *Server) operation(c echo.Context) *operation {
	return s.operations[c.Request().Method+" "+c.Path()]
}

// guarded puts the middleware before every operation. It is no middleware of a group of
// routes: echo then takes a path that exists for one that does not, if the method is wrong.
func (s *Server) guarded(chain ...echo.MiddlewareFunc) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		inner := next
		for _, m := range slices.Backward(chain) {
			inner = m(inner)
		}
		return func(c echo.Context) error {
			if s.operation(c) == nil {
				return next(c) // echo's own 404 or 405, or a page for anyone
			}
			return inner(c)
		}
	}
}

// everyRouteIsGuarded fails if a route of the interface is no operation of the
// specification, and so open to anyone.
func (s *Server) everyRouteIsGuarded() error {
	for _, r := range s.echo.Routes() {
		if strings.HasPrefix(r.Path, Base+"/") && r.Path != specificationPath && s.operations[r.Method+" "+r.Path] == nil {
			return fmt.Errorf("%s %s is no operation of the specification", r.Method, r.Path)
		}
	}
	return nil
}

// authorize lets through whom the operation's rule in the specification lets through.
func (s *Server) authorize(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if err := auth.PrincipalOf(c.Request().Context()).May(s.operation(c).rule); err != nil {
			return err
		}
		return next(c)
	}
}
