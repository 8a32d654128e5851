package main

import (
	"strings"
)

// databaseFlag is the flag of every command that works on the database itself.
type databaseFlag struct {
	Database string `placeholder:"DSN" help:"postgres://… or sqlite:PATH; by default sqlite:provost.db."`
}

// dsn is the database that the flag names, or the default.
func (f *databaseFlag) dsn() string {
	if f.Database == "" {
		return "sqlite:provost.db"
	}
	return f.Database
}

// shown is the DSN without a password, for messages.
func shown(dsn string) string {
	if !strings.HasPrefix(dsn, "postgres") {
		return dsn
	}
	return redactURL(dsn)
}
