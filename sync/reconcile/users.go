package reconcile

import (
	"reflect"
	"slices"

	"github.com/provost-scim/provost/store"
)

// draft is one stated user on its way to a change.
type draft struct {
	index    int // in the results
	s        *store.UserStatement
	cur      *store.User // the live record, if there is one
	back     *store.User // the soft-deleted record that returns (rule 7)
	revived  bool        // it returns without roles and grants
	claims   bool        // cur is an internal user taken over (rule 2)
	takes    string      // cur comes from this directory (rule 1)
	partly   *store.Error
	claimant *claimant
}

// enters reports whether cur is a record that the directory has not owned before.
func (d *draft) enters() bool { return d.claims || d.takes != "" }

// users plans every stated user: rules 1, 2, 3 and 7, in that order.
func (p *planner) users() {
	drafts := make([]*draft, 0, len(p.want.Users))
	claimants := make([]*claimant, 0, len(p.want.Users))
	for i := range p.want.Users {
		s := p.want.Users[i] // a copy: planning changes no statement
		p.cs.Results = append(p.cs.Results, store.Result{Kind: store.KindUser, Record: s.Record, Outcome: store.Unchanged})
		d := &draft{index: i, s: &s}
		p.cause = s.Cause
		if s.Record != (store.RecordKey{}) {
			d.cur = p.have.Users[s.Record]
		}
		if p.settle(d) {
			continue
		}
		d.claimant = &claimant{wants: store.Fold(s.Attributes.UserName), stable: recordName(s.Record, s.ExternalID)}
		if d.cur != nil {
			d.claimant.current = d.cur.Key
			d.claimant.held = store.Fold(d.cur.Attributes.UserName)
		}
		drafts = append(drafts, d)
		claimants = append(claimants, d.claimant)
	}
	claimants = append(claimants, p.departing()...)
	holders := make(map[string]store.Key, len(p.have.NameHolders))
	for name, u := range p.have.NameHolders {
		holders[name] = u.Key
	}
	contend(claimants, holders)
	for _, d := range drafts {
		if d.claimant.rejected {
			p.refuseName(d)
		}
	}
	p.freshUsers(drafts)
	for _, d := range drafts {
		if p.cs.Results[d.index].Err == nil {
			p.cause = d.s.Cause
			p.writeUser(d)
		}
	}
	p.cause = nil
}

// settle deals with statements that end before names are contended for, and
// reports whether it did. A statement that goes on has its claim and return found.
func (p *planner) settle(d *draft) bool {
	switch d.s.Presence {
	case store.Gone:
		p.userGone(d)
		return true
	case store.Left:
		p.userLeft(d)
		return true
	}
	if d.cur == nil && d.s.Record.ID != "" {
		p.refuseUser(d, store.RuleInvalidEntry, store.Refused,
			&store.Error{Code: store.CodeNotFound, Message: "user " + string(d.s.Record.ID) + " does not exist", Resource: "User " + string(d.s.Record.ID)})
		return true
	}
	if err := checkUser(d.s); err != nil {
		p.refuseUser(d, store.RuleInvalidEntry, store.Refused, err)
		return true
	}
	if d.cur == nil {
		if err := p.gave(store.KindUser, d.s.Record); err != nil {
			p.refuseUser(d, store.RuleDuplicate, store.Duplicated, err)
			return true
		}
	}
	if err := p.owned(d); err != nil {
		p.refuseUser(d, store.RuleDuplicate, store.Refused, err)
		return true
	}
	if err := p.duplicate(d); err != nil {
		p.refuseUser(d, store.RuleDuplicate, store.Duplicated, err)
		return true
	}
	if d.cur == nil {
		d.back, d.revived = p.returning(d.s)
	}
	return p.refuseDomain(d)
}

// owned is rule 1 for an administrator: of a record that a directory owns, only
// the switch may be changed.
func (p *planner) owned(d *draft) *store.Error {
	if p.want.Origin != store.OriginAdmin || p.want.Directory == 0 {
		return nil
	}
	var field string
	switch {
	case d.cur == nil:
		field = "userName"
	case d.s.ExternalID != d.cur.ExternalID:
		field = "externalId"
	case d.s.Active != nil && *d.s.Active != d.cur.Stated:
		field = "active"
	case !reflect.DeepEqual(d.s.Attributes, d.cur.Attributes):
		field = firstDifference(encode(d.cur.Attributes), encode(d.s.Attributes))
	default:
		return nil
	}
	e := store.Errorf(store.CodeOwned, "the user's attributes are owned by the directory %s; change them there", p.have.Directory.Name)
	e.Field = field
	return e
}

// duplicate is rule 2 between directories. A user that may be claimed becomes the
// draft's current record.
func (p *planner) duplicate(d *draft) *store.Error {
	var first *store.KeyOwner
	claimable := true
	for _, k := range d.s.Attributes.IdentityKeys() {
		o, ok := p.have.Owners[k]
		if !ok || o.Directory == p.want.Directory {
			continue
		}
		if first == nil {
			first = &o
		}
		if o.Directory != 0 || o.Holders != 1 || o.Key != first.Key {
			claimable = false
		}
	}
	if first == nil {
		return nil
	}
	if claimable && d.cur == nil && p.claim(d, first) || p.take(d) {
		return nil
	}
	p.cs.Results[d.index].With = first
	owner := "an administrator"
	if first.Directory != 0 {
		owner = "the directory " + first.DirectoryName
	}
	e := store.Errorf(store.CodeUniqueness, "the user %s equals the user %s (%s), which is owned by %s: userName and emails are unique between directories",
		d.s.Attributes.UserName, first.Name, first.ID, owner)
	e.Field, e.Rule = "userName", store.RuleDuplicate
	return e
}

// claim takes over an internal user whose email is under a verified domain.
func (p *planner) claim(d *draft, o *store.KeyOwner) bool {
	if p.settings().OnMatch != store.MatchClaim {
		return false
	}
	u := p.have.Users[claimKey(o.ID)]
	if u == nil || p.returned[u.Key] {
		return false
	}
	if p.have.Domains[store.DomainOf(u.Attributes.PrimaryEmail())] != store.DomainVerified {
		return false
	}
	p.returned[u.Key] = true
	d.cur, d.claims = u, true
	return true
}

// refuseDomain is rule 3, and reports whether the statement ends here. For a user
// that is already in, a pull refuses the new address and applies the rest.
func (p *planner) refuseDomain(d *draft) bool {
	if d.cur != nil && !d.claims && store.Fold(d.cur.Attributes.DecidingAddress()) == store.Fold(d.s.Attributes.DecidingAddress()) {
		return false
	}
	ok, why := p.admits(&d.s.Attributes)
	if ok {
		return false
	}
	e := store.Errorf(store.CodeInvalid, "%s", why)
	e.Field, e.Rule = "userName", store.RuleUnverifiedDomain
	if d.cur == nil || !p.pull() {
		p.refuseUser(d, store.RuleUnverifiedDomain, store.Refused, e)
		return true
	}
	d.partly = e
	d.s.Attributes.UserName = d.cur.Attributes.UserName
	d.s.Attributes.Emails = d.cur.Attributes.Emails
	p.finding(store.RuleUnverifiedDomain, store.KindUser, recordName(d.s.Record, d.s.ExternalID), d.cur.Attributes.UserName,
		"the new address was refused and the rest applied: "+why)
	return false
}

// returning finds the soft-deleted record that a stated new user is (rule 7).
func (p *planner) returning(s *store.UserStatement) (u *store.User, revived bool) {
	name := store.Fold(s.Attributes.UserName)
	named := func(u *store.User) bool { return store.Fold(u.Attributes.UserName) == name }
	stable := func(u *store.User) bool {
		return s.ExternalID != "" && u.ExternalID == s.ExternalID && !p.returned[u.Key]
	}
	if u = theOne(p.have.Departed, p.have.Held[store.KindUser][s.ExternalID], stable, named); u == nil {
		u, revived = firstOf(p.have.Departed, func(u *store.User) bool {
			return (s.ExternalID == "" || u.ExternalID == "") && named(u) && !p.returned[u.Key]
		}), true
	}
	if u == nil {
		return nil, false
	}
	p.returned[u.Key] = true
	return u, revived
}

// departing are the records whose names become free because they are deleted here.
func (p *planner) departing() []*claimant {
	var out []*claimant
	for i := range p.cs.Users {
		if c := &p.cs.Users[i]; c.Op == store.OpDelete {
			out = append(out, &claimant{current: c.Before.Key, held: store.Fold(c.Before.Attributes.UserName), gives: true})
		}
	}
	return out
}

// userGone is rule 7 for a user that no longer exists in its directory.
func (p *planner) userGone(d *draft) {
	r := &p.cs.Results[d.index]
	if d.cur == nil {
		return
	}
	r.Key, r.ID = d.cur.Key, d.cur.ID
	if p.pull() && !p.settings().ReplicateState {
		p.stateKept(d.cur, "no longer exists in the directory; it is left as it is because replicate_state is off")
		return
	}
	after := *d.cur
	after.DeletedAt, after.ModifiedAt = p.cs.Now, p.cs.Now
	after.Version++
	p.cs.Users = append(p.cs.Users, store.UserChange{
		Op: store.OpDelete, Before: d.cur, After: after, Release: d.cur.Attributes.IdentityKeys(),
	})
	p.event(store.EventUserDeleted, store.KindUser, d.cur.ID, userDocument(d.cur), nil)
	r.Outcome = store.Deleted
}

// userLeft is rule 7 for a user that exists but is no longer in the scope.
func (p *planner) userLeft(d *draft) {
	r := &p.cs.Results[d.index]
	if d.cur == nil {
		return
	}
	r.Key, r.ID = d.cur.Key, d.cur.ID
	if d.cur.OutOfScope {
		return
	}
	after := *d.cur
	after.OutOfScope, after.Hash = true, nil
	p.update(d.cur, &after, store.EventUserUpdated)
	r.Outcome = store.LeftScope
}

func (p *planner) stateKept(u *store.User, what string) {
	p.finding(store.RuleStateKept, store.KindUser, u.ExternalID, u.Attributes.UserName, "user "+u.Attributes.UserName+" "+what)
}

// writeUser makes the change of a user that every rule lets through.
func (p *planner) writeUser(d *draft) {
	r := &p.cs.Results[d.index]
	if d.partly != nil && p.pull() {
		r.Err = d.partly
	}
	switch {
	case d.back != nil:
		p.restoreUser(d, r)
	case d.cur == nil:
		p.createUser(d, r)
	default:
		p.updateUser(d, r)
	}
}

func (p *planner) createUser(d *draft, r *store.Result) {
	after := store.User{
		Key: d.s.NewKey, ID: d.s.NewID, Org: p.want.Org, Directory: p.want.Directory,
		Stated: true, Enabled: p.settings().EnableNewUsers,
		Version: 1, CreatedAt: p.cs.Now,
	}
	if n := p.want.New; n != nil && n.Enabled != nil {
		after.Enabled = *n.Enabled
	}
	p.state(&after, d)
	p.cs.Users = append(p.cs.Users, store.UserChange{Op: store.OpCreate, After: after, Claim: after.Attributes.IdentityKeys()})
	p.event(store.EventUserCreated, store.KindUser, after.ID, nil, newUserDocument(&after, &p.cs))
	if p.settings().EmailNewUsers && after.Active() {
		if m := store.WelcomeMail(&after, p.cs.Now); m != nil {
			p.cs.Mails = append(p.cs.Mails, *m)
		}
	}
	r.Key, r.ID, r.Outcome = after.Key, after.ID, store.Created
}

func (p *planner) restoreUser(d *draft, r *store.Result) {
	after := *d.back
	after.DeletedAt = store.User{}.DeletedAt
	after.OutOfScope, after.Stated = false, true
	after.Version++
	p.state(&after, d)
	if after.ExternalID == "" { // so that another stable id is another person next time, too
		after.ExternalID = d.back.ExternalID
	}
	p.cs.Users = append(p.cs.Users, store.UserChange{
		Op: store.OpRestore, Before: d.back, After: after, Claim: after.Attributes.IdentityKeys(), Revived: d.revived,
	})
	p.event(store.EventUserRestored, store.KindUser, after.ID, nil, userDocument(&after))
	r.Key, r.ID, r.Outcome = after.Key, after.ID, store.Restored
}

func (p *planner) updateUser(d *draft, r *store.Result) {
	cur := d.cur
	r.Key, r.ID = cur.Key, cur.ID
	after := *cur
	after.Directory = p.want.Directory
	if p.want.Origin != store.OriginAdmin { // only the directory itself brings a record back into scope
		after.OutOfScope = false
	}
	p.state(&after, d)
	if p.pull() && !p.settings().ReplicateState && cur.Stated && !after.Stated && !d.enters() {
		after.Stated = true
		p.stateKept(cur, "is disabled in the directory; it is left as it is because replicate_state is off")
	}
	if sameUser(cur, &after) {
		if p.pull() && !slices.Equal(cur.Hash, after.Hash) {
			p.cs.Users = append(p.cs.Users, store.UserChange{Op: store.OpMark, Before: cur, After: after})
		}
		return
	}
	event := store.EventUserUpdated
	switch {
	case d.claims:
		event, r.Outcome = store.EventUserClaimed, store.Claimed
	case d.takes != "":
		r.Outcome = store.Claimed
		p.updateAs(cur, &after, func(before, after any) {
			p.handOver(store.EventUserHandedOver, store.KindUser, cur.ID, d.takes, before, after)
		})
		return
	case cur.OutOfScope:
		r.Outcome = store.Restored
	case cur.Stated && !after.Stated:
		r.Outcome = store.Deactivated
	default:
		r.Outcome = store.Modified
	}
	p.update(cur, &after, event)
}

// state puts what the statement says into a record.
func (p *planner) state(u *store.User, d *draft) {
	u.ExternalID, u.Attributes = d.s.ExternalID, d.s.Attributes
	if d.s.Active != nil {
		u.Stated = *d.s.Active
	}
	if d.s.Enabled != nil {
		u.Enabled = *d.s.Enabled
	}
	u.ModifiedAt = p.cs.Now
	u.Hash = nil
	if p.pull() && d.partly == nil {
		u.Hash = d.s.Hash
	}
}

// update records the change of a live user.
func (p *planner) update(cur, after *store.User, event string) {
	p.updateAs(cur, after, func(before, after any) { p.event(event, store.KindUser, cur.ID, before, after) })
}

func (p *planner) updateAs(cur, after *store.User, log func(before, after any)) {
	after.ModifiedAt = p.cs.Now
	after.Version = cur.Version + 1
	was, is := cur.Attributes.IdentityKeys(), after.Attributes.IdentityKeys()
	c := store.UserChange{Op: store.OpUpdate, Before: cur, After: *after, Release: missing(was, is), Claim: missing(is, was)}
	if cur.Directory != after.Directory { // every key changes hands
		c.Release, c.Claim = was, is
	}
	p.cs.Users = append(p.cs.Users, c)
	log(userDocument(cur), userDocument(after))
}

// sameUser reports whether two states of a record are the same to everyone.
func sameUser(a, b *store.User) bool {
	return a.Directory == b.Directory && a.ExternalID == b.ExternalID && a.Stated == b.Stated && a.Enabled == b.Enabled &&
		a.OutOfScope == b.OutOfScope && reflect.DeepEqual(a.Attributes, b.Attributes)
}

func (p *planner) refuseName(d *draft) {
	e := store.Errorf(store.CodeUniqueness, "the userName %s belongs to another user of this directory", d.s.Attributes.UserName)
	e.Field, e.Rule = "userName", store.RuleDuplicate
	if u := p.have.NameHolders[store.Fold(d.s.Attributes.UserName)]; u != nil {
		p.cs.Results[d.index].With = p.sibling(u.Key, u.ID, u.Attributes.UserName)
	}
	p.refuseUser(d, store.RuleDuplicate, store.Duplicated, e)
}

// sibling is a record of the same directory that has a name which another wants.
func (p *planner) sibling(key store.Key, id store.ID, name string) *store.KeyOwner {
	o := &store.KeyOwner{Directory: p.want.Directory, Holders: 1, Key: key, ID: id, Name: name, Internal: p.have.Directory == nil}
	if p.have.Directory != nil {
		o.DirectoryName = p.have.Directory.Name
	}
	return o
}

// refuseUser ends a statement with a result, and in a pull with a finding. The
// record stays as it is, and so does its source hash: it differs from the entry's,
// so the entry is staged again by every run until it is accepted or goes back.
func (p *planner) refuseUser(d *draft, rule string, outcome store.Outcome, err *store.Error) {
	r := &p.cs.Results[d.index]
	r.Outcome, r.Err = outcome, err
	if err.Rule == "" {
		err.Rule = rule
	}
	if d.back != nil { // another statement may be the one that it is
		delete(p.returned, d.back.Key)
	}
	if d.claims {
		delete(p.returned, d.cur.Key)
	}
	if d.takes != "" {
		p.stays(store.Edge{Kind: store.KindUser, Key: d.cur.Key}, d.s.ExternalID)
	}
	if d.cur != nil && !d.enters() {
		r.Key, r.ID = d.cur.Key, d.cur.ID
	}
	if p.pull() {
		p.finding(rule, store.KindUser, recordName(d.s.Record, d.s.ExternalID), d.s.Attributes.UserName, err.Message)
	}
}
