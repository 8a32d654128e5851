package ldap

import (
	"context"
	"fmt"
	"slices"
	"strings"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// The controls by which Active Directory tells changes ([MS-ADTS] sections
// 3.1.1.3.4.1.3 and 3.1.1.3.4.1.14).
const (
	dirSyncOID     = "1.2.840.113556.1.4.841"
	showDeletedOID = "1.2.840.113556.1.4.417"
)

// dirSyncFlags are LDAP_DIRSYNC_OBJECT_SECURITY, by which an account needs no right to
// replicate and is told of what it may read, and LDAP_DIRSYNC_INCREMENTAL_VALUES, by
// which of a large group only the members come that were added or removed. They are a
// signed number of 32 bits.
const dirSyncFlags = 0x1 - 0x80000000

const (
	dirSyncBytes     = 1 << 20 // of an answer; the server may send less
	maxDirSyncRounds = 100_000 // answers to one question; most of a mark's are empty
)

// Attributes of which DirSync tells what has happened to an entry.
const (
	attrName        = "name" // the RDN's value: told when an entry is made, renamed or moved
	attrObjectClass = "objectClass"
	attrIsDeleted   = "isDeleted"
)

// nothing matches no entry: a question with it moves a cookie on to the present.
var nothing, _ = ldap.CompileFilter("(&(objectClass=*)(!(objectClass=*)))")

// dirSync asks what has changed in a naming context since a cookie, of the entries
// that match a filter now and in the attributes, until the server has no more; an
// empty cookie means since ever. enough, if it is not empty, says why the rest is not
// asked for. why says that the server refuses; a full read may nevertheless succeed.
func (s *Source) dirSync(ctx context.Context, c *conn, q query, since []byte, each func(rawEntry) (enough string)) (next []byte, why string, err error) {
	q.scope, next = ldap.ScopeWholeSubtree, since
	for range maxDirSyncRounds {
		value := asn1.NewSequence("") // DirSyncRequestValue
		for _, n := range []int64{dirSyncFlags, dirSyncBytes} {
			value.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagInteger, n, ""))
		}
		value.AppendChild(octets(string(next)))
		q.controls = []*asn1.Packet{control(dirSyncOID, value)}
		more := false
		err := c.request(ctx, func() (err error) {
			next, more, why, err = c.dirSyncAnswer(q, each)
			return err
		})
		if err != nil || why != "" || !more {
			return next, why, err
		}
	}
	return nil, fmt.Sprintf("the LDAP server did not come to the end of what has changed in %d answers", maxDirSyncRounds), nil
}

// dirSyncAnswer sends one request and reads its answer.
func (c *conn) dirSyncAnswer(q query, each func(rawEntry) string) (next []byte, more bool, why string, err error) {
	if err := c.send(q.encode(c.timeout)); err != nil {
		return nil, false, "", err
	}
	for {
		m, err := c.receive()
		if err != nil {
			return nil, false, "", err
		}
		switch m.op {
		case opSearchEntry:
			var p page
			if err := p.add(m.body); err != nil {
				return nil, false, "", err
			}
			if why := each(p.entries[0]); why != "" {
				return nil, false, why, nil // the rest is not read: the connection is of no further use
			}
		case opSearchReference:
			// What another server holds is not in the content that is read, either.
		case opSearchDone:
			r, err := parseResult(m.body)
			if err != nil {
				return nil, false, "", err
			}
			if r.code != ldap.LDAPResultSuccess {
				return nil, false, fmt.Sprintf("the LDAP server does not tell what has changed in %s: %s", quoteDN(q.base), resultText(r)), nil
			}
			return dirSyncDone(m.controls)
		default:
			return nil, false, "", errMalformed
		}
	}
}

// dirSyncDone takes the control of an answer's end.
func dirSyncDone(controls string) (next []byte, more bool, why string, err error) {
	value, ok, err := controlValue(controls, dirSyncOID)
	if err != nil {
		return nil, false, "", err
	}
	if !ok {
		return nil, false, "the LDAP server ended its list of changes without a cookie", nil
	}
	sequence, ok := value.want(tagSequence)
	left, ok1 := sequence.integer()
	_, ok2 := sequence.integer()
	cookie, ok3 := sequence.want(tagOctetString)
	if !ok || !ok1 || !ok2 || !ok3 {
		return nil, false, "", errMalformed
	}
	return []byte(cookie), left != 0, "", nil
}

// standingDirSync makes a cookie of the present state. It is also the trial whether
// the server lets this account ask, so it has a connection of its own: what is refused
// or takes too long must not spoil the read.
func (s *Source) standingDirSync(ctx context.Context, reading *conn) (k *cookie, why string, err error) {
	if !s.binaryID {
		return nil, fmt.Sprintf("the stable id is %s, and DirSync tells changes by %s", s.idAttribute, attrObjectGUID), nil
	}
	c, err := s.open(ctx, s.serverAt(reading.server))
	if err != nil {
		return nil, "", err
	}
	defer c.close()
	here, err := s.controllerOf(ctx, reading)
	if err != nil {
		return nil, "", err
	}
	there, err := s.controllerOf(ctx, c)
	if err != nil {
		return nil, "", err
	}
	if here.invocation != there.invocation {
		return nil, fmt.Sprintf("%s leads to several domain controllers, and each counts its changes by itself", c.server), nil
	}
	watched, why, err := s.watched(ctx, c, here)
	if err != nil || why != "" {
		return nil, why, err
	}
	contexts, err := s.namingContexts(ctx, c)
	if err != nil {
		return nil, "", err
	}
	k = &cookie{
		Method: methodDirSync, Server: c.server, Invocation: here.invocation, USN: here.usn,
		Watched: strings.Join(watched, " "), Contexts: map[string][]byte{},
	}
	for _, context := range contexts {
		q := query{base: context, filter: nothing, attributes: watched}
		next, why, err := s.dirSync(ctx, c, q, nil, func(rawEntry) string { return "the LDAP server tells of entries that were not asked for" })
		if err != nil || why != "" {
			return nil, why, err
		}
		k.Contexts[context] = next
	}
	return k, "", nil
}

// serverAt is the server of an address that was connected to.
func (s *Source) serverAt(address string) server {
	return s.servers[slices.IndexFunc(s.servers, func(have server) bool { return have.address == address })]
}

// dirSyncSince notes what has changed since a cookie.
func (f *Following) dirSyncSince(ctx context.Context, old *cookie, limit int) (why string, err error) {
	here, err := f.s.controllerOf(ctx, f.c)
	switch {
	case store.CodeOf(err) == store.CodeInvalid:
		return err.Error(), nil
	case err != nil:
		return "", err
	case here.invocation != old.Invocation:
		return fmt.Sprintf("the domain controller at %s is another one than the last run read, or was restored since (invocationId)", f.c.server), nil
	case here.usn < old.USN:
		return fmt.Sprintf("the domain controller at %s is behind the last run, as if it had been restored from a backup (highestCommittedUSN)", f.c.server), nil
	}
	watched, why, err := f.s.watched(ctx, f.c, here)
	if err != nil || why != "" {
		return why, err
	}
	if strings.Join(watched, " ") != old.Watched {
		return "other attributes are read than by the last run", nil
	}
	contexts, err := f.s.namingContexts(ctx, f.c)
	if err != nil {
		return "", err
	}
	next := *old
	next.USN, next.Contexts = here.usn, map[string][]byte{}
	for _, context := range contexts {
		since, ok := old.Contexts[context]
		if !ok {
			return "the last run did not read " + quoteDN(context), nil
		}
		told := changes{f: f, context: context, limit: limit}
		q := query{base: context, filter: presence, attributes: watched}
		if next.Contexts[context], why, err = f.s.dirSync(ctx, f.c, q, since, told.take); err != nil || why != "" {
			return why, err
		}
		if why, err := f.below(ctx, told.moved, limit); err != nil || why != "" {
			return why, err
		}
		if why, err := f.tellGone(ctx, context); err != nil || why != "" {
			return why, err
		}
	}
	f.cookie, err = next.encode()
	return "", err
}

// changes collects what DirSync tells of one naming context.
type changes struct {
	f       *Following
	context string
	limit   int
	moved   []string // base DNs of entries that were renamed or moved: others may lie below
}

// take notes one entry that has changed. The server sends the attributes that have.
func (t *changes) take(e rawEntry) (enough string) {
	id, has := t.f.s.idOf(e), map[string]bool{}
	if id == "" {
		return fmt.Sprintf("%s has changed, and its %s cannot be read", quoteDN(e.dn), t.f.s.idAttribute)
	}
	for _, a := range e.attributes {
		has[strings.ToLower(a.name)] = true
		if strings.EqualFold(a.name, attrIsDeleted) && slices.Contains(a.values, "TRUE") {
			t.f.deleted[id] = struct{}{}
		}
	}
	t.f.changed[id] = struct{}{}
	if len(t.f.changed) > t.limit {
		return fmt.Sprintf("more than %d entries in %s have changed", t.limit, quoteDN(t.context))
	}
	if has[attrName] && !has[strings.ToLower(attrObjectClass)] && !has[strings.ToLower(attrIsDeleted)] {
		t.moved = append(t.moved, "<GUID="+id+">")
	}
	return ""
}
