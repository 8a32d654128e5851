package ldap

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// cookie stands for the state of a directory at a moment, from which a later read
// can ask for what has changed since.
type cookie struct {
	Method string `json:"method"` // syncrepl or dirsync
	// Server is who gave it, as host:port: another server may have seen other changes.
	Server string            `json:"server"`
	Bases  map[string]string `json:"bases,omitempty"` // of syncrepl: the server's cookie by base DN

	// Of dirsync: which database gave it and how far that had counted its changes, the
	// attributes whose changes are told, and the server's cookie by naming context.
	Invocation string            `json:"invocation,omitempty"`
	USN        int64             `json:"usn,omitempty"`
	Watched    string            `json:"watched,omitempty"`
	Contexts   map[string][]byte `json:"contexts,omitempty"`
}

const (
	methodSyncrepl = "syncrepl"
	methodDirSync  = "dirsync"
)

func (k *cookie) encode() ([]byte, error) { return json.Marshal(k) }

// mark is the result of marking.
type mark struct {
	cookie []byte
	why    string // there is none
}

// Cookie returns what stands for the directory as it was when [Source.Entries]
// began to read it, so that [Source.Follow] can tell what has changed since. If
// there is none, why says for what reason. It may be called when the sequence has
// ended with [Complete].
func (s *Source) Cookie() (cookie []byte, why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark.cookie, s.mark.why
}

// setMark notes where the server stands, on the connection that then reads.
func (s *Source) setMark(ctx context.Context, c *conn) error {
	k, why, err := s.standing(ctx, c)
	if store.CodeOf(err) == store.CodeInvalid { // the answer was read: a full read can go on
		why, err = err.Error(), nil
	}
	if err != nil {
		return err
	}
	var m mark
	if m.why = why; why == "" {
		if m.cookie, err = k.encode(); err != nil {
			return fmt.Errorf("encode the cookie: %w", err)
		}
	}
	s.mu.Lock()
	s.mark = m
	s.mu.Unlock()
	return nil
}

// standing makes a cookie of the server's present state.
func (s *Source) standing(ctx context.Context, c *conn) (k *cookie, why string, err error) {
	supported, err := s.controls(ctx, c)
	if err != nil {
		return nil, "", fmt.Errorf("ask which controls the LDAP server supports: %w", err)
	}
	switch {
	case slices.Contains(supported, syncRequestOID):
		return s.standingCSN(ctx, c)
	case slices.Contains(supported, dirSyncOID):
		k, why, err = s.standingDirSync(ctx, c)
		if err != nil && ctx.Err() == nil { // the connection that reads is another one
			why, err = "DirSync was tried in vain: "+err.Error(), nil
		}
		return k, why, err
	}
	return nil, "the LDAP server offers neither syncrepl (OpenLDAP's overlay syncprov) nor DirSync (Active Directory), by which changes are asked for", nil
}

// controls are the OIDs of the controls that the server says it supports.
func (s *Source) controls(ctx context.Context, c *conn) ([]string, error) {
	p, err := c.search(ctx, query{base: "", scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{"supportedControl"}})
	if err != nil {
		return nil, err
	}
	return valuesOf(p, "supportedControl"), nil
}

// valuesOf are all values of one attribute in a page.
func valuesOf(p *page, attribute string) (all []string) {
	for _, e := range p.entries {
		for _, a := range e.attributes {
			if strings.EqualFold(a.name, attribute) {
				all = append(all, a.values...)
			}
		}
	}
	return all
}

// standingCSN makes a cookie of syncrepl as OpenLDAP writes them, from the change
// sequence numbers that the naming contexts show.
func (s *Source) standingCSN(ctx context.Context, c *conn) (k *cookie, why string, err error) {
	if !strings.EqualFold(s.idAttribute, attrEntryUUID) {
		return nil, fmt.Sprintf("the stable id is %s, and syncrepl tells changes by %s", s.idAttribute, attrEntryUUID), nil
	}
	k = &cookie{Method: methodSyncrepl, Server: c.server, Bases: map[string]string{}}
	contexts, err := s.contextsOf(ctx, c)
	if err != nil {
		return nil, "", err
	}
	for _, base := range s.bases {
		context := contexts[base]
		p, err := c.search(ctx, query{base: context, scope: ldap.ScopeBaseObject, filter: presence, attributes: []string{attrContextCSN}})
		if err != nil {
			return nil, "", err
		}
		numbers := valuesOf(p, attrContextCSN)
		if len(numbers) == 0 {
			return nil, fmt.Sprintf("%s shows no %s: the overlay syncprov is not on, or the bind DN may not read it", quoteDN(context), attrContextCSN), nil
		}
		slices.Sort(numbers)
		k.Bases[base] = "rid=000,csn=" + strings.Join(numbers, ";")
	}
	return k, "", nil
}
