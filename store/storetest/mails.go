package storetest

import (
	"fmt"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/store"
)

// newMail is one to be queued, due now.
func (e *env) newMail(kind store.MailKind, name string) store.Mail {
	id := store.NewID(e.now)
	return store.Mail{
		ID: id, Org: e.org, Directory: 7, Kind: kind, Recipient: name + "@corp.test", Resource: store.NewID(e.now), Dedupe: string(kind) + ":" + name,
		Data: []byte(`{"for":"` + name + `"}`), State: store.MailQueued, NextAttemptAt: e.now, CreatedAt: e.now,
	}
}

func (e *env) queue(list ...store.Mail) {
	e.Helper()
	e.update(func(t store.Tx) error { return t.QueueMails(e.Context(), list) })
}

// takeMails claims at most two mails for a minute, and returns whose they are.
func (e *env) takeMails(owner string, lease time.Duration, now time.Time) (list []store.Mail) {
	e.Helper()
	e.update(func(t store.Tx) (err error) {
		list, err = t.ClaimMails(e.Context(), owner, lease, now, 2)
		return err
	})
	return list
}

// recipients are the first letters of whom mails go to, in order.
func recipients(list []store.Mail) string {
	names := make([]byte, len(list))
	for i := range list {
		names[i] = list[i].Recipient[0]
	}
	return string(names)
}

// mail reads one mail again.
func (e *env) mail(m *store.Mail) store.Mail {
	e.Helper()
	list := got(e, func(r store.Reader) ([]store.Mail, error) { return r.Mails(e.Context(), m.Org, m.Resource) })
	if len(list) != 1 {
		e.Fatalf("there are %d mails about %s", len(list), m.Resource)
	}
	return list[0]
}

var mails = map[string]func(*env){
	"a mail is read back as it was queued, by the record it is about": func(e *env) {
		m := e.newMail(store.MailWelcome, "ann")
		e.queue(m)
		have := e.mail(&m)
		m.Key = have.Key
		if diff := cmp.Diff(m, have); diff != "" || have.Key == 0 {
			e.Errorf("mail (-want +got):\n%s", diff)
		}
		list := got(e, func(r store.Reader) ([]store.Mail, error) {
			return r.Mails(e.Context(), e.organization("other"), m.Resource)
		})
		if len(list) != 0 {
			e.Errorf("the other organization has %v", list)
		}
	},
	"the oldest mail that waits says how far behind the outbox is": func(e *env) {
		oldest := func(want time.Time) {
			e.Helper()
			if have := got(e, func(r store.Reader) (time.Time, error) { return r.OldestMail(e.Context()) }); !have.Equal(want) {
				e.Errorf("the oldest is of %v, want %v", have, want)
			}
		}
		oldest(time.Time{})
		late := e.newMail(store.MailRunHeld, "ann")
		late.CreatedAt = e.now.Add(time.Hour)
		e.queue(late)
		oldest(late.CreatedAt)
		e.queue(e.newMail(store.MailWelcome, "bob"))
		oldest(e.now)
	},
	"an equal mail is queued once in its organization": func(e *env) {
		first, again, elsewhere := e.newMail(store.MailRunHeld, "ann"), e.newMail(store.MailRunHeld, "ann"), e.newMail(store.MailRunHeld, "ann")
		elsewhere.Org = e.organization("other")
		e.queue(first, e.newMail(store.MailRunHeld, "bob"))
		e.queue(again, elsewhere)
		if list := got(e, func(r store.Reader) ([]store.Mail, error) { return r.Mails(e.Context(), e.org, again.Resource) }); len(list) != 0 {
			e.Errorf("queued again: %v", list)
		}
		counts := got(e, func(r store.Reader) (map[store.MailState]int, error) { return r.MailCounts(e.Context()) })
		if diff := cmp.Diff(map[store.MailState]int{store.MailQueued: 3}, counts); diff != "" {
			e.Errorf("counts (-want +got):\n%s", diff)
		}
	},
	"the mails of a change set are queued with it, few or many, or not at all": func(e *env) {
		p := e.at("alpha")
		change := func(n int, name string) store.ChangeSet {
			c := store.ChangeSet{Org: p.org, Directory: p.dir, Now: p.now, Cap: 100}
			for i := range n {
				u := p.newUser(fmt.Sprint(name, i))
				c.Users = append(c.Users, store.UserChange{Op: store.OpCreate, After: u, Claim: u.Attributes.IdentityKeys()})
				m := e.newMail(store.MailWelcome, fmt.Sprint(name, i))
				m.Resource = u.ID
				c.Mails = append(c.Mails, m)
			}
			return c
		}
		p.apply(change(1, "one"))
		p.apply(change(60, "many"))
		failed := change(2, "never")
		err := e.s.Update(e.Context(), func(t store.Tx) error {
			if _, err := t.Apply(e.Context(), &failed); err != nil {
				return err
			}
			return store.Errorf(store.CodeInvalid, "changed my mind")
		})
		counts := got(e, func(r store.Reader) (map[store.MailState]int, error) { return r.MailCounts(e.Context()) })
		if diff := cmp.Diff(map[store.MailState]int{store.MailQueued: 61}, counts); diff != "" || err == nil {
			e.Errorf("%v; counts (-want +got):\n%s", err, diff)
		}
	},
	"mails are claimed when they are due, held runs first, and by one worker only": func(e *env) {
		later := e.newMail(store.MailRunHeld, "later")
		later.NextAttemptAt = e.now.Add(time.Hour)
		early := e.newMail(store.MailWelcome, "early")
		early.NextAttemptAt = e.now.Add(-time.Minute)
		e.queue(later, e.newMail(store.MailWelcome, "welcome"), early, e.newMail(store.MailRunHeld, "held"))
		if got := recipients(e.takeMails("one", time.Hour, e.now)); got != "he" {
			e.Errorf("the first took %q, want he", got)
		}
		if got := recipients(e.takeMails("two", time.Hour, e.now)); got != "w" {
			e.Errorf("the second took %q, want w", got)
		}
		if got := recipients(e.takeMails("two", time.Hour, e.now.Add(time.Hour))); got != "l" {
			e.Errorf("an hour later it took %q, want l", got)
		}
	},
	"many workers claim each mail once": func(e *env) {
		var all []store.Mail
		for i := range 40 {
			all = append(all, e.newMail(store.MailWelcome, fmt.Sprint(i)))
		}
		e.queue(all...)
		var mu sync.Mutex
		var wait sync.WaitGroup
		taken := map[store.ID]int{}
		for i := range 8 {
			wait.Go(func() {
				for {
					var list []store.Mail
					err := e.s.Update(e.Context(), func(t store.Tx) (err error) {
						list, err = t.ClaimMails(e.Context(), fmt.Sprint(i), time.Hour, e.now, 3)
						return err
					})
					if err != nil {
						e.Errorf("claim: %v", err)
					}
					if len(list) == 0 {
						return
					}
					mu.Lock()
					for _, m := range list {
						taken[m.ID]++
					}
					mu.Unlock()
				}
			})
		}
		wait.Wait()
		for _, m := range all {
			if taken[m.ID] != 1 {
				e.Errorf("mail %s was claimed %d times", m.Recipient, taken[m.ID])
			}
		}
	},
	"a mail whose lease has run out is claimed again, and who had it can do nothing more": func(e *env) {
		m := e.newMail(store.MailWelcome, "ann")
		e.queue(m)
		first := e.takeMails("one", -time.Second, e.now)[0]
		second := e.takeMails("two", time.Hour, e.now)
		if len(second) != 1 || second[0].Fence != first.Fence+1 {
			e.Fatalf("claimed %v after %v", second, first)
		}
		e.refused(store.CodeStale, func(t store.Tx) error { return t.BeginMail(e.Context(), &first, time.Hour) })
		e.refused(store.CodeStale, func(t store.Tx) error { return t.SaveMail(e.Context(), &first) })
		e.update(func(t store.Tx) error { return t.BeginMail(e.Context(), &second[0], time.Hour) })
		e.refused(store.CodeStale, func(t store.Tx) error { return t.BeginMail(e.Context(), &second[0], time.Hour) })
	},
	"what became of a mail is kept, and the lease ends": func(e *env) {
		m := e.newMail(store.MailWelcome, "ann")
		e.queue(m)
		held := e.takeMails("one", time.Hour, e.now)[0]
		held.Attempts, held.LastError, held.NextAttemptAt = 1, "451 not now", e.now.Add(time.Minute)
		e.update(func(t store.Tx) error { return t.SaveMail(e.Context(), &held) })
		if list := e.takeMails("one", time.Hour, e.now); len(list) != 0 {
			e.Errorf("claimed before its time: %v", list)
		}
		again := e.takeMails("two", time.Hour, e.now.Add(time.Minute))[0]
		if again.Attempts != 1 || again.LastError != "451 not now" {
			e.Errorf("the next attempt has %+v", again)
		}
		e.update(func(t store.Tx) error { return t.BeginMail(e.Context(), &again, time.Hour) })
		again.State, again.SentAt = store.MailSent, e.now
		e.update(func(t store.Tx) error { return t.SaveMail(e.Context(), &again) })
		e.refused(store.CodeStale, func(t store.Tx) error { return t.SaveMail(e.Context(), &again) })
		again.Owner = ""
		if diff := cmp.Diff(again, e.mail(&m)); diff != "" {
			e.Errorf("sent (-want +got):\n%s", diff)
		}
	},
	"a mail that was being handed over when its worker died is uncertain, and never claimed again": func(e *env) {
		m, other := e.newMail(store.MailWelcome, "ann"), e.newMail(store.MailWelcome, "bob")
		e.queue(m, other)
		list := e.takeMails("one", time.Hour, e.now)
		lapsed := func() (list []store.Mail) {
			e.update(func(t store.Tx) (err error) {
				list, err = t.LapseMails(e.Context(), 10)
				return err
			})
			return list
		}
		e.update(func(t store.Tx) error { return t.BeginMail(e.Context(), &list[0], time.Hour) })
		if got := lapsed(); len(got) != 0 {
			e.Errorf("lapsed within the lease: %v", got)
		}
		e.update(func(t store.Tx) error { return t.RenewMails(e.Context(), "one", -time.Second) })
		if got := lapsed(); len(got) != 1 || got[0].ID != list[0].ID || got[0].State != store.MailUncertain {
			e.Errorf("lapsed: %v", got)
		}
		if got := e.takeMails("two", time.Hour, e.now); len(got) != 1 || got[0].ID != list[1].ID {
			e.Errorf("claimed %v, want only the one that was not begun", got)
		}
		// The worker was not dead, and knows now.
		list[0].State, list[0].SentAt = store.MailSent, e.now
		e.update(func(t store.Tx) error { return t.SaveMail(e.Context(), &list[0]) })
		if got := e.mail(&list[0]); got.State != store.MailSent {
			e.Errorf("it is %s", got.State)
		}
	},
	"a worker that stops gives back what it has not begun": func(e *env) {
		e.queue(e.newMail(store.MailWelcome, "ann"), e.newMail(store.MailWelcome, "bob"))
		list := e.takeMails("one", time.Hour, e.now)
		e.update(func(t store.Tx) error { return t.BeginMail(e.Context(), &list[0], time.Hour) })
		e.update(func(t store.Tx) error { return t.ReleaseMails(e.Context(), "one") })
		if got := e.takeMails("two", time.Hour, e.now); len(got) != 1 || got[0].ID != list[1].ID {
			e.Errorf("claimed %v", got)
		}
	},
	"the agenda tells the next attempt that is free, and when a lease runs out": func(e *env) {
		agenda := func() store.Agenda {
			return got(e, func(r store.Reader) (store.Agenda, error) { return r.MailAgenda(e.Context()) })
		}
		if diff := cmp.Diff(store.Agenda{}, agenda()); diff != "" {
			e.Errorf("without mails (-want +got):\n%s", diff)
		}
		later := e.newMail(store.MailRunHeld, "ann")
		later.NextAttemptAt = e.now.Add(time.Hour)
		e.queue(later, e.newMail(store.MailWelcome, "bob"))
		if diff := cmp.Diff(store.Agenda{Next: e.now}, agenda()); diff != "" {
			e.Errorf("queued (-want +got):\n%s", diff)
		}
		e.takeMails("one", time.Hour, e.now)
		if a := agenda(); !a.Next.Equal(later.NextAttemptAt) || !a.Held || a.Lapse < 59*time.Minute || a.Lapse > time.Hour {
			e.Errorf("with one held: %+v", a)
		}
		e.update(func(t store.Tx) error { return t.RenewMails(e.Context(), "one", -time.Minute) })
		if a := agenda(); !a.Held || a.Lapse > -time.Minute {
			e.Errorf("with a lease that has run out: %+v", a)
		}
	},
	"mails that are too old fail, but not one that is being sent": func(e *env) {
		ann, bob, cid := e.newMail(store.MailRunHeld, "ann"), e.newMail(store.MailWelcome, "bob"), e.newMail(store.MailWelcome, "cid")
		cid.CreatedAt = e.now.Add(time.Second)
		e.queue(ann, bob, cid)
		e.update(func(t store.Tx) error {
			_, err := t.ClaimMails(e.Context(), "one", time.Hour, e.now, 1)
			return err
		})
		var list []store.Mail
		e.update(func(t store.Tx) (err error) {
			list, err = t.ExpireMails(e.Context(), e.now.Add(time.Second), 10)
			return err
		})
		if len(list) != 1 || list[0].ID != bob.ID || list[0].State != store.MailFailed {
			e.Errorf("given up: %v", list)
		}
	},
	"mails that are done are purged after their time": func(e *env) {
		e.queue(e.newMail(store.MailRunHeld, "done"), e.newMail(store.MailWelcome, "waits"))
		m := e.takeMails("one", time.Hour, e.now)[0]
		m.State = store.MailFailed
		e.update(func(t store.Tx) error { return t.SaveMail(e.Context(), &m) })
		for before, want := range map[time.Time]int{e.now: 0, e.now.Add(time.Second): 1} {
			var list []store.Mail
			err := e.s.Update(e.Context(), func(t store.Tx) (err error) {
				if list, err = t.PurgeMails(e.Context(), before, 10); err != nil {
					return err
				}
				if len(list) == 1 && list[0].ID == m.ID {
					return nil
				}
				return store.Errorf(store.CodeStale, "nothing")
			})
			if len(list) != want || (err == nil) != (want == 1) {
				e.Errorf("before %s: purged %v, %v", before, list, err)
			}
		}
	},
	"the mails of a user are purged with it": func(e *env) {
		p := e.at("alpha")
		ann := p.user("ann")
		m := e.newMail(store.MailWelcome, "ann")
		m.Resource = ann.ID
		e.queue(m, e.newMail(store.MailWelcome, "bob"))
		p.deleteUser(ann)
		e.purge(p.now.Add(time.Second), 10)
		counts := got(e, func(r store.Reader) (map[store.MailState]int, error) { return r.MailCounts(e.Context()) })
		if diff := cmp.Diff(map[store.MailState]int{store.MailQueued: 1}, counts); diff != "" {
			e.Errorf("counts (-want +got):\n%s", diff)
		}
	},
}
