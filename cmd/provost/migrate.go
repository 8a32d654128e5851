package main

import (
	"fmt"
	"net/url"

	"github.com/provost-scim/provost/store/gormstore"
)

// migrateCommand is `provost migrate`.
type migrateCommand struct{ databaseFlag }

// Help shows how it is used.
func (*migrateCommand) Help() string {
	return "`serve` does the same when it starts; this is for those who want to do it before.\n\nExample:\n\n    provost migrate --database postgres://provost@db/provost"
}

// Run migrates the database.
func (c *migrateCommand) Run(s *session) error {
	if err := gormstore.Migrate(s.ctx, c.dsn()); err != nil {
		return err
	}
	fmt.Fprintf(s.stderr, "%s has the schema of this program\n", shown(c.dsn()))
	return nil
}

func redactURL(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		return "the database"
	}
	return u.Redacted()
}
