// Command mirror-go keeps a table of all users of an organization in a SQLite
// database, as they are now.
//
//	PROVOST_URL=http://127.0.0.1:8080 PROVOST_TOKEN=… mirror-go users.db
//
// It needs the token of an auditor. It may be killed at any time, and goes on where it
// was: users and cursor are written in one transaction.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// user is what the table has of a user.
type user struct {
	ID       string `json:"id"`
	UserName string `json:"user_name"`
	Active   bool   `json:"active"`
	Email    string `json:"email"`
}

// event is what is needed of an event.
type event struct {
	Cursor       int64  `json:"cursor"`
	ResourceType string `json:"resource_type"`
	ResourceID   string `json:"resource_id"`
}

var (
	errGone     = errors.New("the cursor has expired") // 410
	errNotFound = errors.New("not found")              // 404
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintf(os.Stderr, "mirror-go: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("usage: mirror-go FILE")
	}
	db, err := sql.Open("sqlite", "file:"+args[0]+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	m := &mirror{db: db, server: strings.TrimSuffix(os.Getenv("PROVOST_URL"), "/") + "/api/v1", token: os.Getenv("PROVOST_TOKEN")}
	if err := m.exec(ctx, `CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, user_name TEXT NOT NULL, active INTEGER NOT NULL, email TEXT NOT NULL);
		CREATE TABLE IF NOT EXISTS feed (one INTEGER PRIMARY KEY CHECK (one = 1), cursor INTEGER NOT NULL)`); err != nil {
		return err
	}
	for {
		err := m.follow(ctx)
		if errors.Is(err, errGone) || errors.Is(err, sql.ErrNoRows) { // the log is another one, or this is the first time
			err = m.snapshot(ctx)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil {
			continue
		}
		fmt.Fprintf(os.Stderr, "mirror-go: trying again in a second: %v\n", err)
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

// mirror is the table and where it comes from.
type mirror struct {
	db            *sql.DB
	server, token string
}

// snapshot fills the table from the lists. The place in the log is asked for first, so
// that nothing that changes meanwhile is missed.
func (m *mirror) snapshot(ctx context.Context) error {
	var feed struct {
		LastCursor int64 `json:"last_cursor"`
	}
	if err := m.get(ctx, "/events?limit=1", &feed); err != nil {
		return err
	}
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // what was committed stays
	if _, err := tx.ExecContext(ctx, "DELETE FROM users"); err != nil {
		return err
	}
	for cursor := ""; ; {
		var page struct {
			Items      []user `json:"items"`
			NextCursor string `json:"next_cursor"`
		}
		if err := m.get(ctx, "/users?limit=1000&cursor="+url.QueryEscape(cursor), &page); err != nil {
			return err
		}
		for i := range page.Items {
			if err := put(ctx, tx, &page.Items[i]); err != nil {
				return err
			}
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	if err := setCursor(ctx, tx, feed.LastCursor); err != nil {
		return err
	}
	return tx.Commit()
}

// follow applies events as they come, until the stream ends.
func (m *mirror) follow(ctx context.Context) error {
	var cursor int64
	if err := m.db.QueryRowContext(ctx, "SELECT cursor FROM feed").Scan(&cursor); err != nil {
		return err
	}
	resp, err := m.request(ctx, "/events?after="+strconv.FormatInt(cursor, 10), "text/event-stream")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		data, ok := strings.CutPrefix(line, "data: ")
		if !ok {
			continue
		}
		var e event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := m.apply(ctx, &e); err != nil {
			return err
		}
	}
}

// apply writes the user of an event as it is now, and the event's cursor.
func (m *mirror) apply(ctx context.Context, e *event) error {
	var u user
	var err error
	if e.ResourceType == "User" {
		err = m.get(ctx, "/users/"+url.PathEscape(e.ResourceID), &u)
	}
	if err != nil && !errors.Is(err, errNotFound) {
		return err
	}
	tx, beginErr := m.db.BeginTx(ctx, nil)
	if beginErr != nil {
		return beginErr
	}
	defer func() { _ = tx.Rollback() }() // what was committed stays
	switch {
	case e.ResourceType != "User":
	case err == nil:
		err = put(ctx, tx, &u)
	default:
		_, err = tx.ExecContext(ctx, "DELETE FROM users WHERE id = ?", e.ResourceID)
	}
	if err != nil {
		return err
	}
	if err := setCursor(ctx, tx, e.Cursor); err != nil {
		return err
	}
	return tx.Commit()
}

func put(ctx context.Context, tx *sql.Tx, u *user) error {
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO users (id, user_name, active, email) VALUES (?, ?, ?, ?)", u.ID, u.UserName, u.Active, u.Email)
	return err
}

func setCursor(ctx context.Context, tx *sql.Tx, cursor int64) error {
	_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO feed (one, cursor) VALUES (1, ?)", cursor)
	return err
}

func (m *mirror) exec(ctx context.Context, query string) error {
	_, err := m.db.ExecContext(ctx, query)
	return err
}

// get reads one document.
func (m *mirror) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	resp, err := m.request(ctx, path, "application/json")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// request sends a request; an answer other than 200 is an error.
func (m *mirror) request(ctx context.Context, path, accept string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.server+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+m.token)
	req.Header.Set("Accept", accept)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer resp.Body.Close()
	problem, err := io.ReadAll(io.LimitReader(resp.Body, 1000))
	switch {
	case err != nil:
		return nil, err
	case resp.StatusCode == http.StatusGone:
		return nil, errGone
	case resp.StatusCode == http.StatusNotFound:
		return nil, errNotFound
	default:
		return nil, fmt.Errorf("GET %s: %s: %s", path, resp.Status, problem)
	}
}
