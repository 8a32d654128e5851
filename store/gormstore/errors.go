package gormstore

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/provost-scim/provost/store"
)

// errRace marks an error of a transaction that may succeed when it is run again.
var errRace = errors.New("lost a race")

// race makes the [store.CodeStale] error that Update answers by running the whole
// transaction again. When that does not help, the caller gets it.
func race(format string, args ...any) *store.Error {
	e := store.Errorf(store.CodeStale, format, args...)
	e.Err = errRace
	return e
}

// retryable reports whether running the transaction again may succeed.
func retryable(err error) bool {
	if errors.Is(err, errRace) {
		return true
	}
	if uniqueViolation(err) {
		// Whoever expects a taken name says so with an Error of its own. Any other
		// violation means that what a plan was made of has changed since.
		var known *store.Error
		return !errors.As(err, &known)
	}
	return contention(err)
}

// contention reports whether the database gave up because of other transactions.
func contention(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && (lite.Code()&0xff == sqlite3.SQLITE_BUSY || lite.Code()&0xff == sqlite3.SQLITE_LOCKED)
}

// unreachable reports whether the database cannot be spoken to, as while it restarts.
func unreachable(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false // the caller has given up
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "57P01", "57P02", "57P03", "53300": // it stops, crashes, or starts; too many connections
			return true
		}
		return strings.HasPrefix(pg.Code, "08") // connection exceptions
	}
	var refused *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &refused) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err)
}

// uniqueViolation reports whether a row with the same key exists.
func uniqueViolation(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) &&
		(lite.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || lite.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
}

// violates reports whether err is a violation of the unique index on these columns
// of a table. PostgreSQL names the index, SQLite the columns or, for an index on an
// expression, the index.
func violates(err error, table, index string, columns ...string) bool {
	if !uniqueViolation(err) {
		return false
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.ConstraintName == index
	}
	qualified := make([]string, len(columns))
	for i, c := range columns {
		qualified[i] = table + "." + c
	}
	text := err.Error()
	return strings.Contains(text, ": "+strings.Join(qualified, ", ")+" (") || strings.Contains(text, "index '"+index+"'")
}

// exhausted is what Update returns after its last attempt.
func exhausted(err error) error {
	var known *store.Error
	if errors.As(err, &known) && known.Code == store.CodeStale {
		return err
	}
	if uniqueViolation(err) {
		return &store.Error{Code: store.CodeStale, Message: "the record was changed by others at the same time", Hint: "try again", Err: err}
	}
	return &store.Error{Code: store.CodeBusy, Message: "the database is busy", Hint: "try again shortly", Err: err}
}

// translate gives a meaning to the errors of a database that callers act on.
func translate(err error) error {
	var known *store.Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case contention(err):
		return &store.Error{Code: store.CodeBusy, Message: "the database is busy", Hint: "try again shortly", Err: err}
	case unreachable(err):
		return &store.Error{Code: store.CodeBusy, Message: "the database cannot be reached", Hint: "try again shortly", Err: err}
	case uniqueViolation(err):
		return &store.Error{Code: store.CodeUniqueness, Message: "another record has the same name", Err: err}
	}
	return err
}

// notFound turns the absence of a row into [store.CodeNotFound] and says what was
// looked for; other errors get the same words.
func notFound(err error, what, ref string) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) || errors.Is(err, gorm.ErrRecordNotFound) {
		return &store.Error{Code: store.CodeNotFound, Message: fmt.Sprintf("%s %q does not exist", what, ref)}
	}
	return fmt.Errorf("read %s %q: %w", what, ref, err)
}
