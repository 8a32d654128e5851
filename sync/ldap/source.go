package ldap

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// Complete ends a complete read: [Source.Entries] yields it last, with no entry,
// and only then. A sequence that ends without it was not complete.
var Complete = errors.New("the directory was read completely")

// maxEmptyPages bounds how many pages without an entry may follow each other:
// Active Directory sends some, while its filter passes over what does not match.
const maxEmptyPages = 10_000

// Entries reads the directory: first every group, then every user, below every
// base DN. It ends with [Complete] or with another error, once: a dropped
// connection, a time-out, a limit of the server, a referral that would have to be
// followed, and a cancelled context are errors.
//
// An entry that cannot become a record comes with Invalid set. The strings of an
// entry share the memory of the message that it came in, except ExternalID: clone
// what is kept. At most two pages are in memory: the next is requested while the
// former is consumed.
func (s *Source) Entries(ctx context.Context) iter.Seq2[store.Entry, error] {
	return func(yield func(store.Entry, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		pages := make(chan fetched)
		go func() {
			defer close(pages)
			s.fetch(ctx, pages)
		}()
		defer func() { // wait for the fetcher
			cancel()
			for range pages {
			}
		}()
		var m *mapper
		for f := range pages {
			if f.err != nil {
				yield(store.Entry{}, f.err)
				return
			}
			if m == nil || m.plan != f.plan {
				m = newMapper(f.plan)
			}
			for _, raw := range f.page.entries {
				if !yield(m.entry(raw), nil) {
					return
				}
			}
		}
	}
}

// fetched is one page of a plan, or the end: an error, or Complete.
type fetched struct {
	plan *plan
	page *page
	err  error
}

// fetch reads all pages and hands them over, the end last.
func (s *Source) fetch(ctx context.Context, pages chan<- fetched) {
	err := s.fetchAll(ctx, pages)
	if err == nil {
		err = Complete
	}
	// Whoever consumes reads until the channel is closed, so this cannot block.
	pages <- fetched{err: err}
}

func (s *Source) fetchAll(ctx context.Context, pages chan<- fetched) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if s.marks {
		if err := s.setMark(ctx, c); err != nil {
			return err
		}
	}
	for _, p := range []*plan{&s.groups, &s.users} {
		for _, base := range s.bases {
			q := query{base: base, scope: ldap.ScopeWholeSubtree, filter: p.filter, attributes: p.request, size: s.pageSize}
			err := s.pages(ctx, c, q, func(page *page) error {
				if err := s.expandAll(ctx, c, p, page); err != nil {
					return err
				}
				select {
				case pages <- fetched{plan: p, page: page}:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			})
			if err != nil {
				return fmt.Errorf("read the %ss below %s: %w", kindWord(p.kind), quoteDN(base), err)
			}
		}
	}
	return ctx.Err()
}

func kindWord(k store.Kind) string {
	if k == store.KindGroup {
		return "group"
	}
	return "user"
}

// expandAll completes the members of the groups of a page.
func (s *Source) expandAll(ctx context.Context, c *conn, p *plan, page *page) error {
	if p.kind != store.KindGroup {
		return nil
	}
	for i := range page.entries {
		if err := s.expand(ctx, c, &page.entries[i]); err != nil {
			return err
		}
	}
	return nil
}

// pages hands on each page with entries of a search. Whatever keeps it from knowing that
// it has seen all of them is an error.
func (s *Source) pages(ctx context.Context, c *conn, q query, each func(*page) error) error {
	for empty := 0; ; {
		page, err := c.search(ctx, q)
		if err != nil {
			return err
		}
		if err := s.checkReferences(page); err != nil {
			return err
		}
		if !page.paged {
			return &store.Error{Code: store.CodeInvalid, Message: "the LDAP server ignored the request for pages, so nobody can tell whether its answer was complete",
				Hint: "the server must support paged results (RFC 2696)"}
		}
		if len(page.entries) > 0 {
			empty = 0
			if err := each(page); err != nil {
				return err
			}
		} else if empty++; empty > maxEmptyPages {
			return &store.Error{Code: store.CodeBusy, Message: fmt.Sprintf("the LDAP server sent %d pages without an entry", maxEmptyPages),
				Hint: "look for its fault in the server's log, or name another server"}
		}
		if page.cookie == "" {
			return nil
		}
		q.cookie = page.cookie
	}
}

// connect returns a bound connection to the first server that answers. Refused
// credentials end the attempt: each further one could lock the account.
func (s *Source) connect(ctx context.Context) (*conn, error) {
	var failures []error
	for _, server := range s.servers {
		c, err := s.open(ctx, server)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		failures = append(failures, err)
		var e *store.Error
		if errors.As(err, &e) && e.Field == "bind_password" {
			break
		}
	}
	if len(failures) == 1 {
		return nil, failures[0]
	}
	return nil, errors.Join(failures...)
}

// open connects to one server, encrypts and binds.
func (s *Source) open(ctx context.Context, server server) (*conn, error) {
	c, err := s.reach(ctx, server, s.timeout)
	if err != nil {
		return nil, err
	}
	if err = s.encrypt(ctx, c, server); err == nil {
		err = s.authenticate(ctx, c)
	}
	if err != nil {
		_ = c.net.Close()
		return nil, err
	}
	return c, nil
}

// reach connects to one server, in plain text. The time-out is that of every request
// on the connection, too.
func (s *Source) reach(ctx context.Context, server server, timeout time.Duration) (*conn, error) {
	dialing, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	plain, err := s.dial(dialing, "tcp", server.address)
	if err != nil {
		return nil, unreachable(server.address, err)
	}
	c := newConn(plain, timeout)
	c.server = server.address
	return c, nil
}

// encrypt encrypts the connection if the server's URL or the settings say so.
func (s *Source) encrypt(ctx context.Context, c *conn, server server) error {
	config := s.tls.Clone()
	config.ServerName = server.host
	switch {
	case server.tls:
		if err := c.encrypt(ctx, config); err != nil {
			return tlsError(server.address, err)
		}
	case s.startTLS:
		r, err := c.startTLS(ctx, config)
		switch {
		case err != nil:
			return tlsError(server.address, err)
		case r.code != ldap.LDAPResultSuccess:
			return &store.Error{Code: store.CodeInvalid, Field: "start_tls",
				Message: fmt.Sprintf("%s refused StartTLS: %s", server.address, resultText(r)),
				Hint:    "give the server a certificate, or use ldaps:// if it has a port for it"}
		}
	}
	return nil
}

// authenticate binds as the directory's account, or does nothing if it has none.
func (s *Source) authenticate(ctx context.Context, c *conn) error {
	if s.bindDN == "" {
		return nil
	}
	r, err := c.bind(ctx, s.bindDN, s.secret)
	if err != nil {
		return unreachable(c.server, err)
	}
	if r.code != ldap.LDAPResultSuccess {
		return bindError(s.bindDN, r)
	}
	return nil
}
