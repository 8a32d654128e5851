package scim

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// BasePath is where the endpoint is mounted.
const BasePath = "/scim/v2"

// Bounds of a request.
const (
	MaxBody    = 8 << 20 // bytes: a group of 10,000 members, or 20,000 PATCH operations
	MaxResults = 1000    // resources of one page
)

// Caller is who a request was authenticated as.
type Caller struct {
	Org       store.Key
	Directory store.Key
	Actor     store.Actor
}

// Options configure a [Server].
type Options struct {
	Store      store.Store
	Reconciler *reconcile.Reconciler
	// Authenticate names the directory that a request's Authorization header speaks
	// for. A [store.Error] of CodeUnauthorized becomes a 401.
	Authenticate func(ctx context.Context, authorization string) (Caller, error)
	// BaseURL is the public URL of the endpoint, without a trailing slash; empty: it
	// is taken from each request.
	BaseURL string
	Logger  *slog.Logger
}

// Server serves the SCIM endpoint.
type Server struct {
	Options
}

// New returns a server; [Server.Register] mounts it.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Server{Options: o}
}

// Register mounts the endpoint at [BasePath].
func (s *Server) Register(e *echo.Echo) {
	users, groups, all := s.list(schema.Users), s.list(schema.Groups), s.list(schema.Users, schema.Groups)
	for _, r := range []struct {
		path    string
		methods map[string]handler
	}{
		{"", map[string]handler{http.MethodGet: all}},
		{"/.search", map[string]handler{http.MethodPost: search(all)}},
		{"/Users", map[string]handler{http.MethodGet: users, http.MethodPost: s.createUser}},
		{"/Users/.search", map[string]handler{http.MethodPost: search(users)}},
		{"/Users/:id", map[string]handler{http.MethodGet: s.getUser, http.MethodPut: s.replaceUser, http.MethodPatch: s.patchUser, http.MethodDelete: s.deleteUser}},
		{"/Groups", map[string]handler{http.MethodGet: groups, http.MethodPost: s.createGroup}},
		{"/Groups/.search", map[string]handler{http.MethodPost: search(groups)}},
		{"/Groups/:id", map[string]handler{http.MethodGet: s.getGroup, http.MethodPut: s.replaceGroup, http.MethodPatch: s.patchGroup, http.MethodDelete: s.deleteGroup}},
		{"/Bulk", map[string]handler{http.MethodPost: s.bulk}},
		{"/ServiceProviderConfig", map[string]handler{http.MethodGet: s.serviceProviderConfig}},
		{"/ResourceTypes", map[string]handler{http.MethodGet: s.resourceTypes}},
		{"/ResourceTypes/:id", map[string]handler{http.MethodGet: s.resourceType}},
		{"/Schemas", map[string]handler{http.MethodGet: s.schemas}},
		{"/Schemas/:id", map[string]handler{http.MethodGet: s.schema}},
		{"/Me", nil},
	} {
		e.Any(BasePath+r.path, s.dispatch(r.methods))
		if !strings.HasSuffix(r.path, ":id") {
			e.Any(BasePath+r.path+"/", s.dispatch(r.methods)) // some clients end a base path so
		}
	}
	e.Any(BasePath+"/*", s.dispatch(nil))
	e.RouteNotFound(BasePath, unknownMethod)
	e.RouteNotFound(BasePath+"/*", unknownMethod)
}

// unknownMethod serves a method for which the router has no routes as it serves the others: the path decides whether it is
// 404, or 405 and what is allowed.
func unknownMethod(c echo.Context) error {
	known := c.Echo().NewContext(c.Request(), nil)
	c.Echo().Router().Find(http.MethodGet, echo.GetPath(c.Request()), known)
	c.SetPath(known.Path())
	c.SetParamNames(known.ParamNames()...)
	c.SetParamValues(known.ParamValues()...)
	return known.Handler()(c)
}

// handler serves one authenticated request.
type handler func(*call) error

// call is one request being served.
type call struct {
	echo.Context
	caller Caller
	cause  store.Cause
	base   string // of locations
	params url.Values
}

func (c *call) ctx() context.Context { return c.Request().Context() }

// dispatch authenticates, chooses the handler by method, and renders errors.
func (s *Server) dispatch(methods map[string]handler) echo.HandlerFunc {
	allow := allowed(methods)
	return func(ec echo.Context) error {
		c := &call{Context: ec, base: s.base(ec)}
		if err := s.serve(c, methods, allow); err != nil {
			return s.fail(c, err)
		}
		return nil
	}
}

func (s *Server) serve(c *call, methods map[string]handler, allow string) error {
	r := c.Request()
	caller, err := s.Authenticate(r.Context(), r.Header.Get(echo.HeaderAuthorization))
	if err != nil {
		return err
	}
	c.caller = caller
	if c.params, err = parameters(r.URL.RawQuery); err != nil {
		return err
	}
	c.cause = store.Cause{
		Actor: caller.Actor, Reason: "SCIM " + r.Method, Request: c.Response().Header().Get(echo.HeaderXRequestID), Address: c.RealIP(),
	}
	if methods == nil {
		if strings.EqualFold(strings.TrimSuffix(r.URL.Path, "/"), BasePath+"/Me") {
			return &statusError{http.StatusNotImplemented, "", "/Me is not supported: a directory's token is no person"}
		}
		return store.Errorf(store.CodeNotFound, "no resource type or resource is served at this path")
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body
	}
	h := methods[method]
	if h == nil {
		c.Response().Header().Set(echo.HeaderAllow, allow)
		return &statusError{http.StatusMethodNotAllowed, "", r.Method + " is not allowed here; allowed: " + allow}
	}
	return h(c)
}

// parameterNames are those of RFC 7644 section 3.4.2 and RFC 9865.
var parameterNames = []string{"attributes", "excludedAttributes", "filter", "sortBy", "sortOrder", "startIndex", "count", "cursor"}

// parameters reads a query string. A semicolon is a character like any other: Go
// would drop the whole parameter, and a list without its filter shows everybody. For
// the same reason names are understood in any case; the exact one goes first.
func parameters(raw string) (url.Values, error) {
	values, err := url.ParseQuery(strings.ReplaceAll(raw, ";", "%3B"))
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the query string is malformed: a %% in it must begin an escape such as %%20")
	}
	for _, given := range slices.Sorted(maps.Keys(values)) {
		for _, name := range parameterNames {
			if given != name && strings.EqualFold(given, name) {
				values[name] = append(values[name], values[given]...)
			}
		}
	}
	return values, nil
}

func (c *call) param(name string) string { return c.params.Get(name) }

func allowed(methods map[string]handler) string {
	var list []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if methods[m] != nil {
			list = append(list, m)
			if m == http.MethodGet {
				list = append(list, http.MethodHead)
			}
		}
	}
	return strings.Join(list, ", ")
}

func (s *Server) base(c echo.Context) string {
	if s.BaseURL != "" {
		return s.BaseURL
	}
	return c.Scheme() + "://" + c.Request().Host + BasePath
}

// body reads the request's body, which must be JSON of at most [MaxBody] bytes.
func (c *call) body() ([]byte, error) {
	r, err := c.open()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, bodyError(err)
	}
	return b, nil
}

// open checks what is known of the body before it is read. Errors of reading it are
// for [bodyError].
func (c *call) open() (io.Reader, error) {
	if ct := c.Request().Header.Get(echo.HeaderContentType); ct != "" {
		media, _, err := mime.ParseMediaType(ct)
		if err != nil || media != "application/scim+json" && media != "application/json" {
			return nil, &statusError{http.StatusUnsupportedMediaType, "", "Content-Type must be application/scim+json or application/json"}
		}
	}
	if c.Request().ContentLength > MaxBody {
		return nil, tooLarge()
	}
	return http.MaxBytesReader(c.Response(), c.Request().Body, MaxBody), nil
}

// bodyError is the error of a body that could not be read.
func bodyError(err error) error {
	var large *http.MaxBytesError
	var scim scimerrors.ScimError
	switch {
	case errors.As(err, &scim):
		return err
	case errors.As(err, &large):
		return tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &statusError{http.StatusRequestTimeout, "", "the body did not arrive in time"}
	}
	return &statusError{http.StatusBadRequest, "", "the body ended before it was complete"}
}

func tooLarge() error {
	return store.Errorf(store.CodeTooLarge, "the body is larger than %d bytes", MaxBody)
}

// name is the last segment of the path. The router leaves escapes in it if they were
// not needed: urn%3Aietf… for urn:ietf….
func (c *call) name() string {
	name, err := url.PathUnescape(c.Param("id"))
	if err != nil {
		return c.Param("id")
	}
	return name
}

// id is the resource id of the path. One that is none cannot exist.
func (c *call) id(kind store.Kind) (store.ID, error) {
	id := c.name()
	if !store.ValidID(id) {
		return "", notFound(kind, id)
	}
	return store.ID(id), nil
}

func notFound(kind store.Kind, id string) error {
	if len(id) > 100 {
		id = id[:100] + "…"
	}
	return store.Errorf(store.CodeNotFound, "%s %s does not exist", kind, id)
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
