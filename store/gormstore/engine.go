package gormstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/provost-scim/provost/store"
)

// Options adjust a [Store]. The zero value is fit for use.
type Options struct {
	Clock    func() time.Time // nil: time.Now
	Logger   *slog.Logger     // nil: nothing is logged
	MaxConns int              // connections to PostgreSQL, or readers of SQLite; 0: 20, or 4
	Mailed   func()           // called after each commit that has queued mails; it must not block
	Logged   func()           // called after each commit that has appended events; it must not block
	// RunMoved is called after each commit that has saved a run: of this process, and, while
	// [Store.Listen] goes on, of all others that use the database. "" stands for any run:
	// some may not have been told of. It must not block.
	RunMoved func(run store.ID)
}

// Store is a [store.Store] on one database.
type Store struct{ e *engine }

var _ store.Store = (*Store)(nil)

// engine is what all sessions of a store share.
type engine struct {
	postgres bool
	read     *sql.DB
	write    *sql.DB  // the same as read on PostgreSQL; one connection on SQLite
	gorm     *gorm.DB // to derive sessions from; never used itself
	clock    func() time.Time
	log      *slog.Logger
	mailed   func()
	logged   func()
	runMoved func(store.ID)
	dsn      string   // of PostgreSQL
	rebound  sync.Map // SQL with ? to SQL with $n
	rebounds atomic.Int64
	spare    spareKeys // of PostgreSQL

	statistics *statistics // nil: the database keeps them by itself
}

// Open opens the database at dsn: "postgres://…" or "sqlite:PATH". It does not
// change the schema; see [Migrate].
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	e := &engine{clock: o.Clock, log: o.Logger, mailed: o.Mailed, logged: o.Logged, runMoved: o.RunMoved}
	if e.clock == nil {
		e.clock = time.Now
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if err := e.connect(dsn, o.MaxConns); err != nil {
		return nil, err
	}
	s := &Store{e}
	if err := e.write.PingContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the database: %w", err), s.Close())
	}
	dialector := sqlite.New(sqlite.Config{DriverName: "sqlite", Conn: e.read})
	if e.postgres {
		dialector = postgres.New(postgres.Config{Conn: e.read})
	}
	var err error
	e.gorm, err = gorm.Open(dialector, &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		NowFunc:                e.now,
		Logger:                 gormLog{e.log},
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the database: %w", err), s.Close())
	}
	return s, nil
}

// connect makes the pools.
func (e *engine) connect(dsn string, conns int) error {
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		if path == "" || strings.HasPrefix(path, ":memory:") {
			return errors.New("database sqlite: needs the path of a file (hint: sqlite:provost.db)")
		}
		return e.connectSQLite(path, conns)
	}
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return errors.New("database must be postgres://… or sqlite:PATH")
	}
	if conns == 0 {
		conns = 20
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return fmt.Errorf("database %s: %w", redact(dsn), err)
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(context.Context, *pgx.Conn) error {
		e.spare.forget()
		return nil
	}))
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	db.SetConnMaxIdleTime(5 * time.Minute)
	e.postgres, e.dsn, e.read, e.write = true, dsn, db, db
	e.statistics = &statistics{tables: map[string]*growth{}}
	return nil
}

// connectSQLite opens one connection that writes and a pool that only reads. With
// several writers each would wait for the file's lock by polling.
func (e *engine) connectSQLite(path string, conns int) error {
	if conns == 0 {
		conns = 4
	}
	// SQLite would make a file that others can read.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	if e.write, err = sql.Open("sqlite", sqliteDSN(path, false)); err != nil {
		return fmt.Errorf("database %s: %w", path, err)
	}
	e.write.SetMaxOpenConns(1)
	if e.read, err = sql.Open("sqlite", sqliteDSN(path, true)); err != nil {
		return errors.Join(fmt.Errorf("database %s: %w", path, err), e.write.Close())
	}
	e.read.SetMaxOpenConns(conns)
	e.read.SetMaxIdleConns(conns)
	return nil
}

// sqliteDSN says how a file is opened. synchronous FULL keeps what was acknowledged
// over a loss of power.
func sqliteDSN(path string, readOnly bool) string {
	v := url.Values{"_pragma": {
		"busy_timeout(2000)",
		"journal_mode(WAL)",
		"synchronous(FULL)",
		"foreign_keys(ON)",
		"cache_size(-65536)",
	}}
	if readOnly {
		v.Add("_pragma", "query_only(ON)")
	} else {
		v.Set("_txlock", "immediate")
	}
	return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + v.Encode()
}

// redact takes the password out of a URL that is shown in an error.
func redact(dsn string) string {
	if u, err := url.Parse(dsn); err == nil {
		return u.Redacted()
	}
	return "postgres://…"
}

// now is the injected clock's time as both engines store it.
func (e *engine) now() time.Time { return e.clock().UTC().Truncate(time.Microsecond) }

// Ping reports whether the database answers and its schema is that of this program.
func (s *Store) Ping(ctx context.Context) error {
	want, err := latestMigration(s.e.postgres)
	if err != nil {
		return err
	}
	var have int64
	err = s.e.read.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&have)
	if err != nil {
		return fmt.Errorf("ask the database for its schema version: %w", err)
	}
	if have < want { // a newer one is that of a later program, which only adds
		return fmt.Errorf("the database has schema version %d and this program needs %d (hint: run provost migrate)", have, want)
	}
	return nil
}

// Pools are the pools of connections by name, for who measures them: one of
// PostgreSQL, and of SQLite that of the readers and the one writer.
func (s *Store) Pools() map[string]*sql.DB {
	if s.e.read == s.e.write {
		return map[string]*sql.DB{"postgres": s.e.read}
	}
	return map[string]*sql.DB{"sqlite-readers": s.e.read, "sqlite-writer": s.e.write}
}

// Close waits for transactions to end and closes the connections.
func (s *Store) Close() error {
	err := s.e.write.Close()
	if s.e.read != s.e.write {
		err = errors.Join(err, s.e.read.Close())
	}
	return err
}
