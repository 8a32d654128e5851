package gormstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// A transaction on PostgreSQL costs no round trips of its own: BEGIN goes out with the
// first statements that are sent together, and COMMIT with the events, which come last
// anyhow. A push that creates users is three round trips instead of six.

// rollbackTimeout bounds the end of a transaction that failed; its context may be over.
const rollbackTimeout = 5 * time.Second

// appendedColumns are those of the rows that Append makes.
var appendedColumns = []string{"public_id", "org_id", "directory_id", "type", "version", "kind", "resource", "cause", "actor_id", "actor_folded", "data", "time"}

// appendedTypes are theirs, on PostgreSQL.
var appendedTypes = []string{"uuid", "bigint", "bigint", "text", "integer", "text", "text", "text", "text", "text", "text", "timestamptz"}

// committedAtOnce is up to how many events go out with COMMIT. More are copied.
const committedAtOnce = 300

// begin sends BEGIN by itself, if that is still to be sent, for a statement that goes
// out alone.
func (s *session) begin(ctx context.Context) error {
	if !s.unbegun {
		return nil
	}
	err := s.raw(func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "BEGIN")
		return err
	})
	if err != nil {
		return fmt.Errorf("begin a transaction: %w", err)
	}
	s.unbegun = false
	return nil
}

// pipeline sends statements in one round trip, after BEGIN if that is still to be sent,
// and hands their results over, which are those of the statements alone.
func (s *session) pipeline(ctx context.Context, queue func(b *pgx.Batch), results func(pgx.BatchResults) error) error {
	return s.raw(func(c *pgx.Conn) (err error) {
		b := &pgx.Batch{}
		if s.unbegun {
			b.Queue("BEGIN")
		}
		queue(b)
		sent := c.SendBatch(ctx, b)
		defer func() {
			if closed := sent.Close(); err == nil {
				err = closed
			}
		}()
		if s.unbegun {
			if _, err := sent.Exec(); err != nil {
				return fmt.Errorf("begin a transaction: %w", err)
			}
			s.unbegun = false
		}
		return results(sent)
	})
}

// writeTail writes the events that wait for the commit.
func (s *session) writeTail(ctx context.Context) error {
	rows := s.tail
	s.tail = nil
	if len(rows) == 0 {
		return nil
	}
	return appending(s.copyRows(ctx, "event", appendedColumns, rows))
}

func appending(err error) error {
	if err != nil {
		return fmt.Errorf("append events: %w", err)
	}
	return nil
}

// commit writes the events and ends the transaction.
func (s *session) commit(ctx context.Context) error {
	if len(s.tail) > committedAtOnce {
		if err := s.writeTail(ctx); err != nil {
			return err
		}
	}
	if s.unbegun && len(s.tail) == 0 {
		return nil // nothing was asked of the database
	}
	return s.pipeline(ctx, func(b *pgx.Batch) {
		if len(s.tail) > 0 {
			query, args := insertAll("event", appendedColumns, s.tail)
			if len(s.tail) > copyFrom {
				query, args = s.e.insertArrays("event", appendedColumns, appendedTypes, s.tail)
			}
			b.Queue(s.e.rebind(query), s.e.arguments(args)...)
		}
		b.Queue("COMMIT")
	}, func(results pgx.BatchResults) error {
		if len(s.tail) > 0 {
			if _, err := results.Exec(); err != nil {
				return appending(err)
			}
		}
		tag, err := results.Exec()
		if err == nil && tag.String() != "COMMIT" { // of one that has failed it says ROLLBACK
			err = pgx.ErrTxCommitRollback
		}
		if err != nil {
			return fmt.Errorf("commit: %w", err)
		}
		return nil
	})
}

// rollback ends the transaction, if it is still open. A connection on which that fails
// is not used again.
func (s *session) rollback() {
	_ = s.raw(func(c *pgx.Conn) error { // what is left to tell is that the connection is bad, to database/sql
		if c.PgConn().TxStatus() == 'I' {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), rollbackTimeout)
		defer cancel()
		if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
			return errors.Join(driver.ErrBadConn, err)
		}
		return nil
	})
}
