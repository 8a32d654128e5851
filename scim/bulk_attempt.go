package scim

import (
	"errors"
	"net/http"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// run carries out the units of a window in one transaction and returns how many of
// them are done: those before the first that depends on another, at least one. With
// an error nothing was changed and none is done.
func (b *bulk) run(units []unit) (int, error) {
	failed := map[*operation]error{}
	if units[0].selects() {
		b.selectMembers(units[0])
	}
	for {
		a := &attempt{b: b, units: units, failed: failed}
		if !a.begins() {
			a.done, a.refused = len(units), failed
			a.settle(&reconcile.Outcome{})
			return a.done, nil
		}
		v := a.revision()
		v.Ordered = len(units) > 1
		out, err := b.s.Reconciler.Revise(b.c.ctx(), v)
		switch {
		case errors.Is(err, errAgain):
		case errors.Is(err, errShorter):
			units = units[:a.done]
		case err != nil:
			return 0, err
		default:
			a.settle(out)
			return a.done, nil
		}
	}
}

var (
	errAgain   = errors.New("some operations name others that are refused")
	errShorter = errors.New("only the first operations can be carried out together")
)

// attempt is one transaction of a window.
type attempt struct {
	b      *bulk
	units  []unit
	failed map[*operation]error // operations that are known to fail in this window

	// What follows is made anew whenever the transaction is run again.
	have      *store.Snapshot
	done      int // units that are in the statement, or refused
	refused   map[*operation]error
	want      store.Statement
	creating  bool           // a record is created, or one that was deleted returns
	users     []*operation   // by the statement's users
	groups    [][]*operation // by the statement's groups
	together  map[store.ID]int
	takes     map[string]bool // names that are taken
	givesBack map[string]bool // names that become free
}

// revision says which records the window is about.
func (a *attempt) revision() reconcile.Revision {
	c := a.b.c
	v := reconcile.Revision{
		Org: c.caller.Org, Directory: c.caller.Directory, State: a.state, Accept: a.accept,
		Members: map[store.RecordKey][]store.MemberRef{},
	}
	for _, u := range a.units {
		for _, o := range u {
			if o.err != nil || a.failed[o] != nil || o.target == "" {
				continue
			}
			id := a.b.named(o.target)
			if !store.ValidID(id) {
				continue
			}
			key := store.RecordKey{ID: store.ID(id)}
			if o.kind == store.KindUser {
				v.Users = append(v.Users, key)
				continue
			}
			refs, again := v.Members[key]
			if !again {
				v.Groups = append(v.Groups, key)
			}
			if o.onlyMembers() {
				for _, ref := range o.group.Members.Add {
					refs = append(refs, store.MemberRef{ID: store.ID(a.b.named(string(ref.ID)))})
				}
				for _, ref := range o.group.Members.Remove {
					refs = append(refs, store.MemberRef{ID: store.ID(a.b.named(string(ref.ID)))})
				}
			}
			v.Members[key] = refs
		}
	}
	return v
}

// begins reports whether there is an operation that is not known to fail.
func (a *attempt) begins() bool {
	for _, u := range a.units {
		for _, o := range u {
			if o.err == nil && a.failed[o] == nil {
				return true
			}
		}
	}
	return false
}

// state makes the statement of the units up to the first that depends on another: it
// comes in the next window.
func (a *attempt) state(have *store.Snapshot) (store.Statement, error) {
	a.have, a.done, a.refused = have, 0, map[*operation]error{}
	a.creating, a.users, a.groups, a.together = false, nil, nil, map[store.ID]int{}
	a.takes, a.givesBack = map[string]bool{}, map[string]bool{}
	a.want = a.b.c.state()
	operations := 0
	for _, u := range a.units {
		if !a.add(u) {
			break
		}
		a.done++
		operations += len(u)
	}
	// A creation may name itself; any other operation that is alone is all or nothing.
	a.want.Apart = operations > 1 || a.units[0][0].method == http.MethodPost
	return a.want, nil
}

// stated is what an operation makes of its record, and the names that it moves.
type stated struct {
	o                *operation
	user             *store.UserStatement
	group            *store.GroupStatement
	takes, givesBack []string
}

func (a *attempt) add(u unit) bool {
	list := make([]stated, 0, len(u))
	for _, o := range u {
		err := o.err
		if err == nil {
			err = a.failed[o]
		}
		s := stated{o: o}
		if err == nil {
			err = a.stateOne(&s)
		}
		if err != nil {
			a.refused[o] = err
		}
		list = append(list, s)
	}
	if a.done > 0 && (a.meets(list) || a.awaits(u)) {
		for _, o := range u {
			delete(a.refused, o)
		}
		return false
	}
	if len(u) > 1 { // those that refer to each other share their fate
		for _, o := range u {
			if a.refused[o] == nil && a.anyRefused(u) {
				a.refused[o] = store.Errorf(store.CodeConflict, "an operation that this one refers to was refused")
			}
		}
	}
	for _, s := range list {
		if a.refused[s.o] == nil {
			a.put(s)
		}
	}
	return true
}

func (a *attempt) anyRefused(u unit) bool {
	for _, o := range u {
		if a.refused[o] != nil {
			return true
		}
	}
	return false
}

// awaits reports whether an operation names a record that is not there, but may be
// once those of the window that are created have returned (rule 7).
func (a *attempt) awaits(u unit) bool {
	if !a.creating {
		return false
	}
	for _, o := range u {
		if isAbsent(a.refused[o]) {
			return true
		}
	}
	return false
}

func isAbsent(err error) bool {
	var e *store.Error
	return errors.As(err, &e) && (e.Code == store.CodeNotFound || e.Rule == store.RuleUnknownMember && e.Code == store.CodeInvalid)
}

// meets reports whether a name is taken that another operation of the window takes or
// gives back, or the other way round.
func (a *attempt) meets(list []stated) bool {
	for _, s := range list {
		for _, n := range s.takes {
			if a.takes[n] || a.givesBack[n] {
				return true
			}
		}
		for _, n := range s.givesBack {
			if a.takes[n] {
				return true
			}
		}
	}
	return false
}

func (a *attempt) put(s stated) {
	for _, n := range s.takes {
		a.takes[n] = true
	}
	for _, n := range s.givesBack {
		a.givesBack[n] = true
	}
	a.creating = a.creating || s.o.method == http.MethodPost
	switch {
	case s.user != nil:
		a.want.Users = append(a.want.Users, *s.user)
		a.users = append(a.users, s.o)
	case s.o.onlyMembers():
		i, ok := a.together[s.group.Record.ID]
		if !ok {
			i = len(a.want.Groups)
			a.together[s.group.Record.ID] = i
			a.want.Groups = append(a.want.Groups, store.GroupStatement{Record: s.group.Record})
			a.groups = append(a.groups, nil)
		}
		m := &a.want.Groups[i].Members
		m.Add, m.Remove = append(m.Add, s.group.Members.Add...), append(m.Remove, s.group.Members.Remove...)
		a.groups[i] = append(a.groups[i], s.o)
	default:
		a.want.Groups = append(a.want.Groups, *s.group)
		a.groups = append(a.groups, []*operation{s.o})
	}
}

// accept looks at the plan before it is written. Additions to a group that were put
// together fail alone if what they name is refused; and nothing may be done after
// the error at which the Bulk stops.
func (a *attempt) accept(results []store.Result) error {
	again := false
	failed, back := map[*operation]error{}, map[*operation]bool{}
	for i, o := range a.users {
		if err := results[i].Err; err != nil {
			failed[o] = err
		}
		back[o] = results[i].Outcome == store.Restored
	}
	for i, list := range a.groups {
		err := results[len(a.users)+i].Err
		for _, o := range list {
			switch {
			case err == nil:
			case len(list) == 1:
				failed[o] = err
			default:
				again = true
			}
		}
	}
	if again {
		if a.blame(failed, results) {
			return errAgain
		}
		return errors.New("a group was refused for none of the members that were to be added")
	}
	errs, creating := a.b.failed, false
	for i, u := range a.units[:a.done] {
		for _, o := range u {
			// What is absent may be there once those that are created have returned, and of
			// who returns it is not known yet in which groups it is.
			if creating && isAbsent(failed[o]) || o.kind == store.KindGroup && a.b.refersTo(o, back) {
				a.done = i
				return errShorter
			}
			if a.refused[o] != nil || failed[o] != nil {
				errs++
			}
		}
		creating = creating || u[0].method == http.MethodPost
		if a.b.failOn > 0 && errs >= a.b.failOn && i+1 < a.done {
			a.done = i + 1
			return errShorter
		}
	}
	return nil
}

func (b *bulk) refersTo(o *operation, any map[*operation]bool) bool {
	for _, ref := range o.references {
		if any[b.posts[ref]] {
			return true
		}
	}
	return false
}

// blame finds which of the additions that were put together name a refused creation.
func (a *attempt) blame(failed map[*operation]error, results []store.Result) (found bool) {
	for i, list := range a.groups {
		if results[len(a.users)+i].Err == nil || len(list) == 1 {
			continue
		}
		for _, o := range list {
			for _, ref := range o.references {
				if post := a.b.posts[ref]; post != nil && failed[post] != nil {
					a.failed[o] = store.Errorf(store.CodeConflict, "the operation that should create bulkId:%s was refused", shortened(ref))
					found = true
				}
			}
		}
	}
	return found
}

// settle gives every operation that is done its outcome.
func (a *attempt) settle(out *reconcile.Outcome) {
	finish := func(o *operation, err *store.Error, id store.ID, version int64) {
		if err != nil {
			o.fail(err)
			return
		}
		o.id, o.version = id, version
	}
	for i, o := range a.users {
		finish(o, out.Results[i].Err, out.Users[i].ID, out.Users[i].Version)
	}
	for i, list := range a.groups {
		for _, o := range list {
			finish(o, out.Results[len(a.users)+i].Err, out.Groups[i].ID, out.Groups[i].Version)
		}
	}
	for _, u := range a.units[:a.done] {
		for _, o := range u {
			if err := a.refused[o]; err != nil {
				o.fail(err)
			}
			o.done = true
		}
	}
}
