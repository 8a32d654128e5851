package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/internal/seal"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/scim"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/domain"
	"github.com/provost-scim/provost/sync/ldap/dn"
	"github.com/provost-scim/provost/sync/notify"
	"github.com/provost-scim/provost/sync/reconcile"
	"github.com/provost-scim/provost/sync/run"
)

// program is everything that serves, wired together.
type program struct {
	log        *slog.Logger
	store      *gormstore.Store
	sealer     *seal.Sealer
	auth       *auth.Authenticator
	limits     auth.Limits // of directories
	reconciler *reconcile.Reconciler
	runs       *run.Engine
	domains    *domain.Keeper
	mailer     *notify.Mailer
	webhooks   *notify.Webhooks
	rest       *admin.Server
	metrics    *metrics
	handler    http.Handler
	workers    []worker
	drain      *drain
	streams    []func()      // end what would keep the server from shutting down
	slots      chan struct{} // one for each request being served
	ready      atomic.Bool
}

// open migrates and opens the database and wires the parts. What it opened is
// closed again if it fails.
func (c *serveCommand) open(ctx context.Context, log *slog.Logger) (_ *program, err error) {
	if err := gormstore.Migrate(ctx, c.dsn()); err != nil {
		return nil, err
	}
	p := &program{log: log, metrics: newMetrics(), drain: newDrain(), slots: make(chan struct{}, c.MaxRequests)}
	if p.store, err = gormstore.Open(ctx, c.dsn(), gormstore.Options{
		Logger: log, Mailed: func() { p.mailer.Wake() }, Logged: func() { p.rest.Logged(); p.webhooks.Logged() },
		RunMoved: func(run store.ID) { p.rest.RunMoved(run) },
	}); err != nil {
		return nil, err
	}
	p.metrics.watch(p.store, log)
	if err := c.openMail(p); err != nil {
		return nil, errors.Join(err, p.store.Close())
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.store.Close())
		}
	}()
	key, err := seal.LoadOrCreateKey(c.keyFile())
	if err != nil {
		return nil, err
	}
	if p.sealer, err = seal.New(key); err != nil {
		return nil, err
	}
	if err := c.openWebhooks(p); err != nil {
		return nil, err
	}
	people, err := c.people()
	if err != nil {
		return nil, err
	}
	p.auth = auth.New(p.store, auth.Options{Log: log, People: people})
	p.reconciler = reconcile.New(p.store, reconcile.Options{Cap: c.Cap})
	p.runs = run.New(p.store, p.reconciler, c.runOptions(p))
	p.domains = &domain.Keeper{Store: p.store, Verifier: domain.Verifier{Resolver: c.resolver()}, Log: log}
	p.workers = []worker{
		{"tokens", returning(p.auth.Run)},
		{"runs", returning(p.runs.Run)},
		{"news of runs", returning(p.store.Listen)},
		{"domains", p.domains.Run},
		{"mails", returning(p.mailer.Run)},
		{"webhooks", returning(p.webhooks.Run)},
	}
	if c.Retention > 0 {
		keeper := &retention{store: p.store, what: "deleted records", purge: purgeRecords, keep: c.Retention, log: log}
		p.workers = append(p.workers, worker{"retention", keeper.run})
	}
	if c.RunRetention > 0 {
		keeper := &retention{store: p.store, what: "runs", purge: purgeRuns, keep: c.RunRetention, log: log}
		p.workers = append(p.workers, worker{"run retention", keeper.run})
	}
	keys := &retention{store: p.store, what: "idempotency keys", purge: purgeIdempotencyKeys, keep: admin.IdempotencyKeep, log: log}
	p.workers = append(p.workers, worker{"idempotency keys", keys.run})
	return p, p.mount(c)
}

// mount makes the handler of all interfaces.
func (p *program) mount(c *serveCommand) error {
	rest, err := admin.New(admin.Options{
		Store: p.store, Reconciler: p.reconciler, Auth: p.auth, Log: p.log,
		Runs: p.runs, NormalizeDomain: domain.Normalize, Verify: p.domains.Verify, Keep: p.reconciler.Release, NextRun: run.Next, CheckLDAP: checkLDAP,
		CheckWelcome: notify.CheckWelcome, MailServer: c.SMTPURL != "", Webhooks: p.webhooks,
		Seal: p.sealPassword, Open: p.openPassword,
	})
	if err != nil {
		return err
	}
	p.rest = rest
	p.streams = append(p.streams, rest.Close)
	e := p.newEcho(c.TrustedProxy)
	scim.New(scim.Options{
		Store: p.store, Reconciler: p.reconciler, Logger: p.log, Authenticate: p.scimCaller, BaseURL: c.scimURL(),
	}).Register(e)
	for _, path := range []string{admin.Base, admin.Base + "/*", admin.Docs, admin.Docs + "/*"} {
		e.Any(path, echo.WrapHandler(rest))
	}
	p.handler = e
	return nil
}

// windowRecords are the records of a run's transaction when no flag says so. On
// SQLite a push waits for each, so there they are a fifth.
const (
	windowRecords       = 3_000
	windowRecordsSQLite = 200
)

// runOptions fit the engine to the database. All its transactions are sized in the
// proportions of the engine's defaults.
func (c *serveCommand) runOptions(p *program) run.Options {
	records := c.WindowRecords
	switch {
	case records > 0:
	case strings.HasPrefix(c.dsn(), "sqlite:"):
		records = windowRecordsSQLite
	default:
		records = windowRecords
	}
	return run.Options{
		Open:          p.openDirectory,
		DNKey:         func(name string) [16]byte { return dn.Of(name) },
		DNHash:        func(name string) [16]byte { return dn.Hash(name) },
		Parent:        dn.Parent,
		Owner:         ownerName(),
		Logger:        p.log,
		Rested:        p.countRun,
		Lease:         c.Lease,
		BatchRows:     2 * records,
		WindowRecords: records,
		WindowRefs:    10 * records,
		PublishRows:   20 * records,
	}
}

// ownerName names this process among all that share the database.
func ownerName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d/%s", host, os.Getpid(), domain.Challenge()[:8])
}

// resolver asks the DNS server that the flag names; nil is the system's.
func (c *serveCommand) resolver() *net.Resolver {
	if c.DNSResolver == "" {
		return nil
	}
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, c.DNSResolver)
	}}
}

// scimURL is the endpoint's public URL, or empty to take it from each request.
func (c *serveCommand) scimURL() string {
	if c.PublicURL == "" {
		return ""
	}
	return strings.TrimSuffix(c.PublicURL, "/") + scim.BasePath
}

// returning makes a worker's function of one that says nothing when it ends.
func returning(run func(context.Context)) func(context.Context) error {
	return func(ctx context.Context) error {
		run(ctx)
		return ctx.Err()
	}
}

// scimCaller is the directory that a SCIM request's bearer speaks for, unless its
// clients send more than they may.
func (p *program) scimCaller(ctx context.Context, authorization string) (scim.Caller, error) {
	who, err := p.auth.Directory(ctx, authorization)
	if err != nil {
		return scim.Caller{}, err
	}
	if err := p.limits.Admit(who, time.Now()); err != nil {
		p.metrics.limited.WithLabelValues(string(who.DirectoryID)).Inc()
		return scim.Caller{}, err
	}
	return scim.Caller{Org: who.Org, Directory: who.Directory, Actor: who.Actor()}, nil
}

// closeStreams ends what would keep the server from shutting down.
func (p *program) closeStreams() {
	for _, end := range p.streams {
		end()
	}
}
