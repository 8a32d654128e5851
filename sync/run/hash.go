package run

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	"github.com/provost-scim/provost/store"
)

// sourceHash stands for an entry as it was last applied: 16 bytes for its content
// and for what it is judged by; 16 for its DN and 8 for the other names by which it
// may be a member of groups; and 8 for its manager's stable id, which may become
// known only after the entry. Equal hashes mean an equal outcome.
type sourceHash [contentSize + managerSize]byte

const (
	sumSize     = 16
	dnSize      = 16
	namesSize   = 8
	contentSize = sumSize + dnSize + namesSize
	managerSize = 8
)

// place is the part of a hash that stands for the names under which an entry is a
// member of groups or a manager.
func (h *sourceHash) place() [dnSize + namesSize]byte {
	return [dnSize + namesSize]byte(h[sumSize:contentSize])
}

// dn is the part of a hash that stands for the DN.
func (h *sourceHash) dn() [dnSize]byte { return [dnSize]byte(h[sumSize:]) }

// withManager completes the content's part.
func withManager(content []byte, manager string) (h sourceHash) {
	copy(h[:contentSize], content)
	if manager != "" {
		sum := sha256.Sum256([]byte(manager))
		copy(h[contentSize:], sum[:])
	}
	return h
}

// hasher writes entries in a canonical form: strings with their lengths, lists
// with their numbers of elements. The values of a multi-valued attribute have no
// order in LDAP, so they are sorted.
type hasher struct {
	seed     []byte // settings revision and policy
	dn       func(string) [dnSize]byte
	buf      []byte
	elements [][]byte
	scratch  []byte
}

func newHasher(revision int64, policy string, dn func(string) [dnSize]byte) *hasher {
	seed := binary.BigEndian.AppendUint64([]byte("provost entry 1\x00"), uint64(revision))
	return &hasher{seed: append(seed, policy...), dn: dn}
}

func (h *hasher) begin() { h.buf = append(h.buf[:0], h.seed...) }

// content returns the hash of what has been written since begin, of an entry with
// these names.
func (h *hasher) content(dn string, names ...string) (out [contentSize]byte) {
	sum := sha256.Sum256(h.buf)
	copy(out[:sumSize], sum[:])
	copy(out[sumSize:], h.place(dn, names...))
	return out
}

// place returns the hash of the names of an entry.
func (h *hasher) place(dn string, names ...string) []byte {
	out := make([]byte, dnSize+namesSize)
	key := h.dn(dn)
	copy(out, key[:])
	if len(names) > 0 {
		h.buf = h.buf[:0]
		h.text(names...)
		sum := sha256.Sum256(h.buf)
		copy(out[dnSize:], sum[:])
	}
	return out
}

// placeOf is the place of an entry that was read.
func (h *hasher) placeOf(e *store.Entry) []byte {
	if e.Kind == store.KindGroup {
		return h.place(e.DN)
	}
	return h.place(e.DN, userNames(e)...)
}

// userNames are the names, other than the DN, by which groups have a user.
func userNames(e *store.Entry) []string {
	return []string{store.Fold(e.Attributes.UserName), e.PrimaryGroup}
}

func (h *hasher) user(e *store.Entry) [contentSize]byte {
	h.begin()
	switch {
	case e.Active == nil:
		h.buf = append(h.buf, 'u')
	case *e.Active:
		h.buf = append(h.buf, 't')
	default:
		h.buf = append(h.buf, 'f')
	}
	h.text(e.ManagerDN)
	a := &e.Attributes
	h.text(a.UserName, a.DisplayName, a.NickName, a.ProfileURL, a.Title, a.UserType, a.PreferredLanguage, a.Locale, a.Timezone)
	h.flag(a.Name != nil)
	if n := a.Name; n != nil {
		h.text(n.Formatted, n.FamilyName, n.GivenName, n.MiddleName, n.HonorificPrefix, n.HonorificSuffix)
	}
	h.flag(a.Enterprise != nil)
	if x := a.Enterprise; x != nil {
		h.text(x.EmployeeNumber, x.CostCenter, x.Organization, x.Division, x.Department)
		h.flag(x.Manager != nil)
		if x.Manager != nil {
			h.text(x.Manager.Value, x.Manager.DisplayName)
		}
	}
	for _, list := range [...][]store.Value{a.Emails, a.PhoneNumbers, a.IMs, a.Photos, a.Entitlements, a.Roles, a.X509Certificates} {
		h.list(len(list), func(i int) {
			v := &list[i]
			h.text(v.Value, v.Display, v.Type)
			h.flag(v.Primary)
		})
	}
	h.list(len(a.Addresses), func(i int) {
		v := &a.Addresses[i]
		h.text(v.Formatted, v.StreetAddress, v.Locality, v.Region, v.PostalCode, v.Country, v.Type)
		h.flag(v.Primary)
	})
	return h.content(e.DN, userNames(e)...)
}

// group hashes a group with the stable ids of its members, sorted: a member's name
// that has come to mean another entry changes it.
func (h *hasher) group(dn, name, description string, members []string) [contentSize]byte {
	h.begin()
	h.buf = append(h.buf, 'g')
	h.text(name, description)
	h.text(members...)
	return h.content(dn)
}

func (h *hasher) text(values ...string) {
	for _, s := range values {
		h.buf = binary.AppendUvarint(h.buf, uint64(len(s)))
		h.buf = append(h.buf, s...)
	}
}

func (h *hasher) flag(b bool) {
	if b {
		h.buf = append(h.buf, 1)
	} else {
		h.buf = append(h.buf, 0)
	}
}

// list writes n elements, each written by element, in the order of their bytes.
func (h *hasher) list(n int, element func(i int)) {
	h.buf = binary.AppendUvarint(h.buf, uint64(n))
	if n == 1 {
		element(0)
		return
	}
	start := len(h.buf)
	ends := make([]int, n)
	for i := range n {
		element(i)
		ends[i] = len(h.buf)
	}
	h.scratch = append(h.scratch[:0], h.buf[start:]...)
	h.elements = h.elements[:0]
	from := 0
	for _, end := range ends {
		h.elements = append(h.elements, h.scratch[from:end-start])
		from = end - start
	}
	slices.SortFunc(h.elements, bytes.Compare)
	h.buf = h.buf[:start]
	for _, e := range h.elements {
		h.buf = append(h.buf, e...)
	}
}

// policyHash stands for what a plan depends on besides the directory's settings:
// the verified domains, if the directory asks for any, and the cap.
func (e *Engine) policyHash(ctx context.Context, tx store.Tx, d *store.Directory) (string, error) {
	var text strings.Builder
	text.WriteString("cap " + strconv.Itoa(e.reconciler.Cap()))
	if d.Settings.DomainPolicy != store.DomainsOff || d.Settings.OnMatch == store.MatchClaim {
		domains, err := tx.Domains(ctx, d.Org)
		if err != nil {
			return "", err
		}
		var names []string
		for i := range domains {
			if domains[i].State == store.DomainVerified {
				names = append(names, domains[i].Name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			text.WriteString("\n" + name)
		}
	}
	sum := sha256.Sum256([]byte(text.String()))
	return hex.EncodeToString(sum[:sumSize]), nil
}
