package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PG is one running PostgreSQL server, shared by the tests of a binary.
type PG struct {
	port    int
	dir     string
	account account
	process *process
	next    atomic.Int64

	mu        sync.Mutex
	templates map[uintptr]*migrated
}

// migrated is a database that migrate has filled and that is only ever cloned.
type migrated struct {
	once sync.Once
	name string
	err  error
}

// instance is a server that starts at the first call and remembers its error.
type instance struct {
	once sync.Once
	pg   *PG
	err  error
}

var fastPG, durablePG instance

// Postgres returns the PostgreSQL server of this test binary, starting it at
// the first call (about half a second). It forgets everything on power loss:
// fsync is off. The package's TestMain must use Main or Wrap.
func Postgres(t testing.TB) *PG {
	t.Helper()
	return fastPG.get(t, []string{
		"fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=128MB",
	})
}

// PostgresDurable is Postgres with fsync on, as in production. It is for
// benchmarks, and is a server of its own.
func PostgresDurable(t testing.TB) *PG {
	t.Helper()
	return durablePG.get(t, []string{
		"fsync=on", "synchronous_commit=on", "shared_buffers=512MB",
	})
}

// DSN returns the connection string of a database of this server.
func (pg *PG) DSN(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/%s?sslmode=disable", pg.port, database)
}

// Database returns the DSN of a fresh database that is dropped when the test
// ends, whoever is still connected.
//
// The database is a clone (about 30 ms) of a template on which migrate ran
// once in this test binary; without migrate it is empty. migrate must close
// its connections before it returns. Templates are told apart by the code of
// migrate, so what a closure captures must not change what it makes.
func (pg *PG) Database(t testing.TB, migrate func(dsn string) error) string {
	t.Helper()
	source := "template0"
	if migrate != nil {
		made := pg.template(migrate)
		if made.err != nil {
			t.Fatalf("make the template database: %v", made.err)
		}
		source = made.name
	}
	name := fmt.Sprintf("test_%d", pg.next.Add(1))
	if err := pg.exec("CREATE DATABASE " + name + " TEMPLATE " + source); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := pg.exec("DROP DATABASE " + name + " WITH (FORCE)"); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	return pg.DSN(name)
}

// template returns the template that migrate makes, making it at the first call.
func (pg *PG) template(migrate func(dsn string) error) *migrated {
	key := reflect.ValueOf(migrate).Pointer()
	pg.mu.Lock()
	made, ok := pg.templates[key]
	if !ok {
		made = &migrated{name: fmt.Sprintf("migrated_%d", len(pg.templates)+1)}
		pg.templates[key] = made
	}
	pg.mu.Unlock()
	made.once.Do(func() {
		made.err = errors.New("migrate did not return")
		made.err = pg.fill(made.name, migrate)
	})
	return made
}

func (pg *PG) fill(name string, migrate func(dsn string) error) error {
	if err := pg.exec("CREATE DATABASE " + name + " TEMPLATE template0"); err != nil {
		return err
	}
	if err := migrate(pg.DSN(name)); err != nil {
		return err
	}
	// A connection to a template makes every clone fail, so there must be none.
	return pg.exec("ALTER DATABASE " + name + " WITH ALLOW_CONNECTIONS false")
}

// exec runs one statement on the maintenance database.
func (pg *PG) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := pg.connect(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// connect opens the maintenance database through the unix socket, which lies
// in the server's own directory: on a port that another program took a moment
// ago, somebody else's server might answer.
func (pg *PG) connect(ctx context.Context) (*pgx.Conn, error) {
	return pgx.Connect(ctx, fmt.Sprintf("host=%s port=%d user=postgres dbname=postgres sslmode=disable", pg.dir, pg.port))
}

func (i *instance) get(t testing.TB, settings []string) *PG {
	t.Helper()
	bin := needPostgres(t)
	i.once.Do(func() {
		if i.pg, i.err = newPostgres(); i.err != nil {
			return
		}
		if i.err = shared.onClose(i.pg.stop); i.err != nil {
			i.err = errors.Join(i.err, i.pg.stop())
			return
		}
		i.err = i.pg.run(bin, settings)
	})
	if i.err != nil {
		t.Fatalf("start PostgreSQL: %v", i.err)
	}
	return i.pg
}

// needPostgres returns the folder of the server's programs.
func needPostgres(t testing.TB) string {
	t.Helper()
	bin, ok := postgresBin()
	if !ok {
		missing(t, "PostgreSQL", "postgresql")
	}
	return bin
}

// newPostgres makes a place for a server that does not run yet.
func newPostgres() (*PG, error) {
	account, err := serverAccount()
	if err != nil {
		return nil, err
	}
	dir, err := account.dir("provost-pg-")
	if err != nil {
		return nil, err
	}
	return &PG{dir: dir, account: account, templates: map[uintptr]*migrated{}}, nil
}

// run makes a cluster and runs it. The default collation is linguistic, as on most
// production servers, so that a query which relies on bytewise order without COLLATE "C"
// fails here and not there.
func (pg *PG) run(bin string, settings []string) error {
	data := filepath.Join(pg.dir, "data")
	err := pg.account.run(pg.dir, filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		"--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en-US", "--no-sync")
	if err != nil {
		return err
	}
	const attempts = 3
	for attempt := 1; ; attempt++ {
		err := pg.start(bin, data, settings)
		if err == nil || attempt == attempts || !errors.Is(err, errEnded) {
			return err
		}
	}
}

func (pg *PG) start(bin, data string, settings []string) (err error) {
	if pg.port, err = freePort(); err != nil {
		return err
	}
	settings = append([]string{
		"listen_addresses=127.0.0.1", "port=" + strconv.Itoa(pg.port), "unix_socket_directories=" + pg.dir,
		"max_connections=200", "max_wal_size=4GB", "timezone=UTC",
	}, settings...)
	args := []string{"-D", data}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	if pg.process, err = pg.account.start(pg.dir, filepath.Join(bin, "postgres"), args...); err != nil {
		return err
	}
	return pg.process.ready(pg.answers)
}

// answers fails while the server takes no connection.
func (pg *PG) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pg.connect(ctx)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// stop ends the server and removes its files. Nothing in it is worth a clean
// shutdown, so it is the immediate one.
func (pg *PG) stop() error {
	var err error
	if pg.process != nil {
		err = pg.process.stop(syscall.SIGQUIT)
	}
	return errors.Join(err, os.RemoveAll(pg.dir))
}

// postgresBin returns the folder of the newest installed server's programs.
func postgresBin() (string, bool) {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil { // the server is beside the program itself
			return filepath.Dir(path), true
		}
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", false
	}
	version := func(path string) int {
		number, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return number
	}
	newest := slices.MaxFunc(found, func(a, b string) int { return cmp.Compare(version(a), version(b)) })
	return filepath.Dir(newest), true
}
