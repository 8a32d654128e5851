package ldap

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"

	asn1 "github.com/go-asn1-ber/asn1-ber"
	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/store"
)

// The controls and messages of content synchronization (RFC 4533, "syncrepl").
const (
	syncRequestOID = "1.3.6.1.4.1.4203.1.9.1.1"
	syncStateOID   = "1.3.6.1.4.1.4203.1.9.1.2"
	syncDoneOID    = "1.3.6.1.4.1.4203.1.9.1.3"
	syncInfoOID    = "1.3.6.1.4.1.4203.1.9.1.4"
)

const (
	attrContextCSN      = "contextCSN"
	attrHasSubordinates = "hasSubordinates"
	attrEntryUUID       = "entryUUID"
)

// syncRefreshRequired is e-syncRefreshRequired (RFC 4533 section 2.6).
const syncRefreshRequired = 4096

// States of an entry in the Sync State control (RFC 4533 section 2.2).
const (
	syncPresent = 0
	syncAdd     = 1
	syncModify  = 2
	syncDelete  = 3
)

// Choices of the Sync Info message (RFC 4533 section 2.5).
const (
	tagNewCookie      = 0x80
	tagRefreshDelete  = 0xa1
	tagRefreshPresent = 0xa2
	tagSyncIDSet      = 0xa3
)

// uuid is an entryUUID as syncrepl sends it.
type uuid [16]byte

func (u uuid) String() string {
	var out [36]byte
	hex.Encode(out[0:8], u[0:4])
	hex.Encode(out[9:13], u[4:6])
	hex.Encode(out[14:18], u[6:8])
	hex.Encode(out[19:23], u[8:10])
	hex.Encode(out[24:36], u[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return string(out[:])
}

func parseUUID(text string) (u uuid, ok bool) {
	if len(text) != 36 {
		return u, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(text, "-", ""))
	if err != nil || len(b) != len(u) {
		return u, false
	}
	return uuid(b), true
}

// announced is what a server said has changed below one base DN.
type announced struct {
	changed []uuid
	parents []string // DNs of changed entries that may have others below them
	deleted []uuid
	// present are entries that have not changed. It says what is there only in a
	// refresh that ended with a present phase; nil otherwise.
	present map[uuid]struct{}
	cookie  string // empty: nothing has changed, and the old one stays good

	afterPresent bool // the refresh ended with a present phase
}

// refresh asks for what has changed below a base DN since a cookie, in the mode
// refreshOnly. why, if not empty, says for what reason the server does not tell, or
// that it would tell more than limit entries.
func (s *Source) refresh(ctx context.Context, c *conn, base, cookie string, limit int) (a *announced, why string, err error) {
	value := asn1.NewSequence("") // RFC 4533 section 2.1
	value.AppendChild(asn1.NewInteger(asn1.ClassUniversal, asn1.TypePrimitive, asn1.TagEnumerated, 1, ""))
	value.AppendChild(octets(cookie))
	q := query{
		base: base, scope: ldap.ScopeWholeSubtree, filter: presence, attributes: []string{attrHasSubordinates},
		controls: []*asn1.Packet{control(syncRequestOID, value)},
	}
	a = &announced{present: map[uuid]struct{}{}}
	err = c.request(ctx, func() error {
		if err := c.send(q.encode(c.timeout)); err != nil {
			return err
		}
		for {
			m, err := c.receive()
			if err != nil {
				return err
			}
			switch m.op {
			case opSearchEntry:
				err = a.entry(m)
			case opIntermediate:
				err = a.info(m.body)
			case opSearchReference:
				// What another server holds is not in the content that is read, either.
			case opSearchDone:
				r, err := parseResult(m.body)
				if err != nil {
					return err
				}
				if r.code == ldap.LDAPResultSuccess {
					return a.done(m.controls)
				}
				why, err = refusal(base, r)
				return err
			default:
				return errMalformed
			}
			if err != nil {
				return err
			}
			if len(a.changed)+len(a.deleted) > limit {
				// The rest of the answer is not read: the connection is of no further use.
				why = fmt.Sprintf("more than %d entries below %s have changed", limit, quoteDN(base))
				return nil
			}
		}
	})
	if err != nil {
		return nil, "", err
	}
	if !a.afterPresent {
		a.present = nil
	}
	return a, why, nil
}

// refusal says why a server does not tell what has changed, if a full read may
// nevertheless succeed; other results are errors.
func refusal(base string, r result) (why string, err error) {
	switch r.code {
	case syncRefreshRequired:
		return "the LDAP server no longer knows what has changed since the last run (e-syncRefreshRequired)", nil
	case ldap.LDAPResultUnwillingToPerform, ldap.LDAPResultProtocolError, ldap.LDAPResultUnavailableCriticalExtension,
		ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultSizeLimitExceeded, ldap.LDAPResultAdminLimitExceeded,
		ldap.LDAPResultOperationsError, ldap.LDAPResultOther:
		return fmt.Sprintf("the LDAP server does not tell what has changed below %s: %s", quoteDN(base), resultText(r)), nil
	}
	return "", serverError("tell what has changed below "+quoteDN(base), r)
}

// entry takes an entry with its Sync State control.
func (a *announced) entry(m message) error {
	value, ok, err := controlValue(m.controls, syncStateOID)
	if err != nil {
		return err
	}
	if !ok {
		return errMalformed
	}
	state, ok := value.want(tagSequence)
	kind, ok1 := state.integer()
	id, ok2 := state.want(tagOctetString)
	if !ok || !ok1 || !ok2 || len(id) != len(uuid{}) {
		return errMalformed
	}
	u := uuid([]byte(id))
	switch kind {
	case syncPresent:
		a.present[u] = struct{}{}
	case syncDelete:
		a.deleted = append(a.deleted, u)
	case syncAdd, syncModify:
		var p page
		if err := p.add(m.body); err != nil {
			return err
		}
		a.changed = append(a.changed, u)
		a.present[u] = struct{}{}
		if e := p.entries[0]; mayHaveChildren(e) {
			a.parents = append(a.parents, strings.Clone(e.dn))
		}
	default:
		return errMalformed
	}
	return nil
}

// mayHaveChildren reports whether an entry does not say that it has none.
func mayHaveChildren(e rawEntry) bool {
	for _, attribute := range e.attributes {
		if strings.EqualFold(attribute.name, attrHasSubordinates) && len(attribute.values) == 1 {
			return !strings.EqualFold(attribute.values[0], "FALSE")
		}
	}
	return true
}

// info takes a Sync Info message.
func (a *announced) info(body string) error {
	b := ber(body)
	name, value := ber(""), ber("")
	for len(b) > 0 { // IntermediateResponse, RFC 4511 section 4.13
		tag, content, ok := b.next()
		switch {
		case !ok:
			return errMalformed
		case tag == 0x80:
			name = content
		case tag == 0x81:
			value = content
		}
	}
	if name != syncInfoOID {
		return nil
	}
	tag, content, ok := value.next()
	if !ok {
		return errMalformed
	}
	switch tag {
	case tagNewCookie:
		a.cookie = strings.Clone(string(content))
		return nil
	case tagRefreshDelete, tagRefreshPresent:
		return a.takeCookie(&content)
	case tagSyncIDSet:
		if err := a.takeCookie(&content); err != nil {
			return err
		}
		return a.idSet(content)
	}
	return errMalformed
}

func (a *announced) takeCookie(b *ber) error {
	if !b.peek(tagOctetString) {
		return nil
	}
	cookie, ok := b.want(tagOctetString)
	if !ok {
		return errMalformed
	}
	if cookie != "" {
		a.cookie = strings.Clone(string(cookie))
	}
	return nil
}

func (a *announced) idSet(b ber) error {
	gone := false
	if b.peek(tagBoolean) {
		var ok bool
		if gone, ok = b.boolean(); !ok {
			return errMalformed
		}
	}
	set, ok := b.want(tagSet)
	if !ok {
		return errMalformed
	}
	for len(set) > 0 {
		id, ok := set.want(tagOctetString)
		if !ok || len(id) != len(uuid{}) {
			return errMalformed
		}
		if u := uuid([]byte(id)); gone {
			a.deleted = append(a.deleted, u)
		} else {
			a.present[u] = struct{}{}
		}
	}
	return nil
}

// done takes the Sync Done control.
func (a *announced) done(controls string) error {
	value, ok, err := controlValue(controls, syncDoneOID)
	if err != nil {
		return err
	}
	if !ok {
		return &store.Error{Code: store.CodeInvalid, Message: "the LDAP server ended its list of changes without saying so"}
	}
	sequence, ok := value.want(tagSequence)
	if !ok {
		return errMalformed
	}
	if err := a.takeCookie(&sequence); err != nil {
		return err
	}
	deletes := false
	if sequence.peek(tagBoolean) {
		if deletes, ok = sequence.boolean(); !ok {
			return errMalformed
		}
	}
	a.afterPresent = !deletes
	return nil
}
