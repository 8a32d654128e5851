package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/swaggest/swgui/v5emb"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// Base is the path under which the interface is served, and Docs that of its page
// for people.
const (
	Base = "/api/v1"
	Docs = "/docs"
)

// Runs starts and decides on the runs of directories that are pulled. sync/run's
// engine is one.
type Runs interface {
	// Plan begins to read a directory, given by name or id, and to stage what differs.
	Plan(ctx context.Context, org store.Key, directory string, cause store.Cause) (*store.Run, error)
	// Start begins a run, of a plan if one is named, or else one that reads everything
	// if full is set.
	Start(ctx context.Context, org store.Key, directory string, plan store.ID, full bool, cause store.Cause) (*store.Run, error)
	// StartSelected begins a run of named users and groups only.
	StartSelected(ctx context.Context, org store.Key, directory string, only store.Selection, cause store.Cause) (*store.Run, error)
	// Approve lets a held run go on. stageHash, if given, is that of the stage which
	// the person has looked at.
	Approve(ctx context.Context, org store.Key, run store.ID, stageHash string, cause store.Cause) (*store.Run, error)
	// Discard ends a plan or a held run.
	Discard(ctx context.Context, org store.Key, run store.ID, cause store.Cause) (*store.Run, error)
	// PlanItems tells what would become of each record of one window of a plan or a
	// held run, from 0 to [store.Run.Windows] - 1. A window's items are always as many
	// and in the same order; their outcomes are those of now.
	PlanItems(ctx context.Context, org store.Key, run store.ID, window int) ([]store.PlanItem, error)
	// PlanMembers tells which members groups would gain and lose by one window.
	PlanMembers(ctx context.Context, org store.Key, run store.ID, window int) ([]store.PlanMember, error)
	// Search asks a live directory, given by name or id, for at most limit entries, and
	// says what an import would make of each. It changes nothing.
	Search(ctx context.Context, org store.Key, directory string, q store.DirectorySearch, limit int) (*store.SearchResult, error)
	// Check tries a live directory, given by name or id, step by step, in less time than
	// a request may take. It changes nothing.
	Check(ctx context.Context, org store.Key, directory string) ([]store.CheckStep, error)
}

// Options are what the handlers work with. Those without a default are required.
type Options struct {
	Store      store.Store
	Reconciler *reconcile.Reconciler
	Auth       *auth.Authenticator
	Runs       Runs

	// NormalizeDomain returns the one form of a domain name, in which it is stored and
	// compared.
	NormalizeDomain func(name string) (string, error)
	// Verify looks the challenge of a domain, given by name or id, up in DNS now, and
	// saves the result with its event. The error says why it is not proven.
	Verify func(ctx context.Context, org store.Key, domain string, cause store.Cause) (*store.Domain, error)
	// Keep makes all users and groups of a directory internal (rule 1). It may be
	// called again after it failed half-way.
	Keep func(ctx context.Context, org, directory store.Key, cause store.Cause) error
	// NextRun is when a schedule starts the next run after the last one; zero: never.
	NextRun func(schedule store.Schedule, last time.Time) (time.Time, error)
	// CheckLDAP refuses settings that could never work, without connecting. The
	// Field of its errors is the setting's name.
	CheckLDAP func(ctx context.Context, settings store.LDAP, secret string) error
	// CheckWelcome refuses templates of the welcome mail that could not be used; empty
	// ones stand for the default.
	CheckWelcome func(subject, text string) error
	// MailServer says that mails are sent. Without it settings that cause some are
	// saved, with a warning.
	MailServer bool
	// Webhooks send events to endpoints.
	Webhooks Webhooks
	// Seal encrypts the bind password of a directory, and Open decrypts it.
	Seal func(plain []byte, directory store.ID) ([]byte, error)
	Open func(sealed []byte, directory store.ID) ([]byte, error)

	Clock   func() time.Time // time.Now
	Log     *slog.Logger     // slog.Default()
	Timeout time.Duration    // of a request that is no stream, 30 s
	Poll    time.Duration    // between looks of streams at the log for what other replicas have written, 1 s
	Streams int              // of events and of runs, and exports, at a time, 100
}

// specificationPath is where the specification is served as JSON.
const specificationPath = Base + "/openapi.json"

// maxBody is the most bytes of a request's body.
const maxBody = 1 << 20

// docsPolicy keeps the page for people to what this server has. Its script begins
// in the page itself.
const docsPolicy = "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self'; " +
	"style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"

// Server is the REST interface as an [http.Handler] for [Base] and [Docs].
type Server struct {
	Options
	echo       *echo.Echo
	operations map[string]*operation // by method and echo path
	bell       bell
	watchers   watchers
	streams    chan struct{}
	closing    chan struct{}
}

var _ openapi.StrictServerInterface = (*Server)(nil)

// New returns the REST interface. It fails only if an option is missing or the
// embedded specification is broken.
func New(o Options) (*Server, error) {
	if o.Store == nil || o.Reconciler == nil || o.Auth == nil || o.Runs == nil || o.NormalizeDomain == nil || o.Verify == nil ||
		o.Keep == nil || o.NextRun == nil || o.CheckLDAP == nil || o.CheckWelcome == nil || o.Webhooks == nil || o.Seal == nil || o.Open == nil {
		return nil, errors.New("the REST interface lacks a required option")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	if o.Poll <= 0 {
		o.Poll = time.Second
	}
	if o.Streams <= 0 {
		o.Streams = 100
	}
	doc, err := openapi.GetSpec()
	if err != nil {
		return nil, fmt.Errorf("read the embedded specification: %w", err)
	}
	operations, err := operationsOf(doc)
	if err != nil {
		return nil, err
	}
	published, err := publish(doc)
	if err != nil {
		return nil, err
	}
	s := &Server{
		Options: o, echo: echo.New(), operations: operations,
		streams: make(chan struct{}, o.Streams), closing: make(chan struct{}),
	}
	e := s.echo
	e.Binder = jsonBinder{}
	e.HTTPErrorHandler = s.renderError
	e.Pre(routeEscaped)
	e.Use(s.identify, s.recoverPanic, s.guarded(o.Auth.AdminOnly, s.authorize, s.limitTime, s.chooseOrganization, s.validate, s.repeat))

	e.GET(specificationPath, func(c echo.Context) error {
		return c.JSONBlob(http.StatusOK, published)
	})
	docs := echo.WrapHandler(v5emb.New("Provost", specificationPath, Docs+"/"))
	e.GET(Docs, func(c echo.Context) error { return c.Redirect(http.StatusMovedPermanently, Docs+"/") })
	e.GET(Docs+"/*", func(c echo.Context) error {
		c.Response().Header().Set(echo.HeaderContentSecurityPolicy, docsPolicy)
		return docs(c)
	})

	openapi.RegisterHandlers(e.Group(Base), openapi.NewStrictHandler(s, nil))
	return s, s.everyRouteIsGuarded()
}

// ServeHTTP serves [Base] and [Docs].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.echo.ServeHTTP(w, r) }

// Route is the pattern of the path of a request, such as /api/v1/users/:user, for a
// metric: never a client's own text. It is "" for a path that nobody serves.
func (s *Server) Route(r *http.Request) string {
	c := s.echo.AcquireContext()
	defer s.echo.ReleaseContext(c)
	c.Reset(r, nil)
	s.echo.Router().Find(r.Method, echo.GetPath(r), c)
	return c.Path()
}

// Close ends the streams, so that an [http.Server] can shut down. It is
// called once.
func (s *Server) Close() { close(s.closing) }

// now is the clock's time as it is stored.
func (s *Server) now() time.Time { return s.Clock().UTC().Truncate(time.Microsecond) }
