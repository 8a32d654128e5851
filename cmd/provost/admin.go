package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
)

// adminCommand is `provost admin`.
type adminCommand struct {
	Token adminTokenCommand `cmd:"" help:"Tokens of administrators."`
}

type adminTokenCommand struct {
	Create adminTokenCreate `cmd:"" help:"Create an administrator's token straight on the database and print only it."`
}

type adminTokenCreate struct {
	databaseFlag
	Name         string `default:"admin" help:"What to recognise the token by."`
	Role         string `enum:"owner,admin,auditor" default:"owner" help:"What its bearer may do: owner (everything), admin (all but tokens, organizations and vouching), or auditor (reads)."`
	Organization string `placeholder:"NAME" help:"The organization it is good for; all, if not given."`
	Expires      string `placeholder:"WHEN" help:"When it ends: a span such as 90d or 12h, or a date such as 2030-01-31; never, if not given."`
}

// Help shows how it is used.
func (*adminTokenCreate) Help() string {
	return `It needs no server, only the database; whoever can write that may do everything. The token is shown this once and stored only as a hash.

Example:

    export PROVOST_TOKEN=$(provost admin token create --database sqlite:provost.db)`
}

// Run makes the token, migrating the database first: it may be the first command
// that a new installation sees.
func (c *adminTokenCreate) Run(s *session) (err error) {
	now := time.Now().UTC().Truncate(time.Microsecond)
	expires, err := expiry(c.Expires, now)
	if err != nil {
		return err
	}
	if err := gormstore.Migrate(s.ctx, c.dsn()); err != nil {
		return err
	}
	db, err := gormstore.Open(s.ctx, c.dsn(), gormstore.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	secret := ""
	err = db.Update(s.ctx, func(tx store.Tx) error {
		token := &store.Token{Name: c.Name, Role: store.TokenRole(c.Role)}
		if expires != nil {
			token.ExpiresAt = expires.UTC().Truncate(time.Microsecond)
		}
		if token.Org, err = c.organization(s.ctx, tx); err != nil {
			return err
		}
		secret, err = auth.Issue(s.ctx, tx, token, commandLine("admin token create"), now)
		return err
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(s.stdout, secret)
	return err
}

func (c *adminTokenCreate) organization(ctx context.Context, tx store.Tx) (store.Key, error) {
	if c.Organization == "" {
		return 0, nil
	}
	org, err := tx.Organization(ctx, c.Organization)
	if err != nil {
		return 0, fmt.Errorf("find the organization %s: %w", c.Organization, err)
	}
	return org.Key, nil
}

// commandLine is the cause of what this program does on the database itself.
// Who ran it is told by the user and the host of the process.
func commandLine(command string) store.Cause {
	c := store.Cause{Actor: store.Actor{Kind: "system", Name: "command line"}, Reason: "provost " + command}
	if who, err := user.Current(); err == nil {
		c.Actor.ID = who.Username
	}
	c.Address, _ = os.Hostname()
	return c
}
