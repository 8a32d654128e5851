package gormstore

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/provost-scim/provost/store"
)

//go:embed migrations/postgres/*.sql migrations/sqlite/*.sql
var migrations embed.FS

// Migrate brings the database at dsn to the schema of this program, creating it if
// it is empty, and makes sure that the default organization exists. Programs that
// start at the same time wait for each other.
func Migrate(ctx context.Context, dsn string) (err error) {
	s, err := Open(ctx, dsn, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.e.migrate(ctx); err != nil {
		return fmt.Errorf("migrate the database: %w", err)
	}
	return s.Update(ctx, func(t store.Tx) error {
		_, err := t.Organization(ctx, store.DefaultOrganization)
		if store.CodeOf(err) != store.CodeNotFound {
			return err
		}
		now := s.e.now()
		return t.CreateOrganization(ctx, &store.Organization{
			ID: store.NewID(now), Name: store.DefaultOrganization, CreatedAt: now,
		})
	})
}

func (e *engine) migrate(ctx context.Context) error {
	if !e.postgres {
		return e.migrateSQLite(ctx)
	}
	locker, err := lock.NewPostgresTableLocker(lock.WithTableLockTimeout(time.Second, 300))
	if err != nil {
		return err
	}
	return e.goose(ctx, goose.DialectPostgres, goose.WithLocker(locker))
}

// migrateSQLite repeats a migration that met another program's: goose has no lock
// for SQLite, but each migration is one transaction, so only one of them succeeds
// and the other then finds it applied.
func (e *engine) migrateSQLite(ctx context.Context) error {
	var err error
	for attempt := range 3 {
		if err = e.goose(ctx, goose.DialectSQLite3); err == nil || ctx.Err() != nil {
			return err
		}
		if err := pause(ctx, attempt+4); err != nil {
			return err
		}
	}
	return err
}

func (e *engine) goose(ctx context.Context, dialect goose.Dialect, o ...goose.ProviderOption) error {
	files, err := migrationFiles(e.postgres)
	if err != nil {
		return err
	}
	o = append(o, goose.WithSlog(e.log), goose.WithDisableGlobalRegistry(true))
	p, err := goose.NewProvider(dialect, e.write, files, o...)
	if err != nil {
		return err
	}
	_, err = p.Up(ctx)
	return err
}

func migrationFiles(postgres bool) (fs.FS, error) {
	if postgres {
		return fs.Sub(migrations, "migrations/postgres")
	}
	return fs.Sub(migrations, "migrations/sqlite")
}

// latestMigration is the version of the newest embedded file.
func latestMigration(postgres bool) (int64, error) {
	files, err := migrationFiles(postgres)
	if err != nil {
		return 0, err
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return 0, err
	}
	var latest int64
	for _, f := range entries {
		version, err := goose.NumericComponent(f.Name())
		if err != nil {
			return 0, err
		}
		latest = max(latest, version)
	}
	return latest, nil
}
