package notify_test

import (
	"context"
	netmail "net/mail"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/store/gormstore"
	"github.com/provost-scim/provost/sync/notify"
)

func TestMain(m *testing.M) { testenv.Main(m) }

var engines = map[string]func(t *testing.T) (dsn string){
	"postgres": func(t *testing.T) string { return testenv.Postgres(t).Database(t, migrate) },
	"sqlite": func(t *testing.T) string {
		dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
		if err := migrate(dsn); err != nil {
			t.Fatal(err)
		}
		return dsn
	},
}

func migrate(dsn string) error { return gormstore.Migrate(context.Background(), dsn) }

// world is an outbox with a mail server, at a time of its own.
type world struct {
	t      *testing.T
	store  *gormstore.Store
	server *testenv.SMTPServer
	org    store.Key

	mu     sync.Mutex
	now    time.Time
	mailer *notify.Mailer
}

func both(t *testing.T, test func(t *testing.T, w *world)) {
	for name, engine := range engines {
		t.Run(name, func(t *testing.T) {
			w := &world{t: t, server: testenv.SMTP(t, testenv.SMTPOptions{}), now: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
			var err error
			w.store, err = gormstore.Open(t.Context(), engine(t), gormstore.Options{Mailed: func() {
				if w.mailer != nil {
					w.mailer.Wake()
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = w.store.Close() })
			w.view(func(r store.Reader) error {
				o, err := r.Organization(t.Context(), store.DefaultOrganization)
				if err == nil {
					w.org = o.Key
				}
				return err
			})
			test(t, w)
		})
	}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) later(d time.Duration) {
	w.mu.Lock()
	w.now = w.now.Add(d)
	w.mu.Unlock()
	w.mailer.Wake()
}

func (w *world) view(fn func(store.Reader) error) {
	w.t.Helper()
	if err := w.store.View(w.t.Context(), fn); err != nil {
		w.t.Fatal(err)
	}
}

// start runs a mailer until the test or stop ends it.
func (w *world) start(adjust func(*notify.Options)) (stop func()) {
	w.t.Helper()
	ca, err := os.ReadFile(w.server.CAFile)
	if err != nil {
		w.t.Fatal(err)
	}
	o := notify.Options{From: &netmail.Address{Address: "provost@corp.test"}, Owner: "tester", Clock: w.clock, Lease: 10 * time.Second}
	if o.Server, err = notify.ParseServer(w.server.URL(), "", ca); err != nil {
		w.t.Fatal(err)
	}
	if adjust != nil {
		adjust(&o)
	}
	w.mailer = notify.New(w.store, o)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.mailer.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	w.t.Cleanup(stop)
	return stop
}

// welcomed creates a user and queues the welcome.
func (w *world) welcomed(name string) store.ID {
	w.t.Helper()
	now := w.clock()
	u := store.User{ID: store.NewID(now), Org: w.org, Attributes: store.Attributes{UserName: name + "@corp.test"}, Stated: true, Enabled: true, Version: 1, CreatedAt: now, ModifiedAt: now}
	err := w.store.Update(w.t.Context(), func(tx store.Tx) error {
		keys, err := tx.Keys(w.t.Context(), store.KindUser, 1)
		if err != nil {
			return err
		}
		u.Key = keys[0]
		_, err = tx.Apply(w.t.Context(), &store.ChangeSet{
			Org: w.org, Now: now, Cap: 10, Mails: []store.Mail{*store.WelcomeMail(&u, now)},
			Users: []store.UserChange{{Op: store.OpCreate, After: u, Claim: u.Attributes.IdentityKeys()}},
		})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return u.ID
}

func (w *world) mail(user store.ID) (m store.Mail) {
	w.t.Helper()
	w.view(func(r store.Reader) error {
		list, err := r.Mails(w.t.Context(), w.org, user)
		if err == nil && len(list) == 1 {
			m = list[0]
		}
		return err
	})
	return m
}

func (w *world) findings() (open []string) {
	w.t.Helper()
	w.view(func(r store.Reader) error {
		list, err := r.Findings(w.t.Context(), store.FindingQuery{Org: w.org, Open: true, Limit: 100})
		for _, f := range list {
			open = append(open, f.Rule+" "+f.Name+": "+f.Sentence)
		}
		return err
	})
	return open
}

func (w *world) await(what string, condition func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			w.t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestAMailIsTriedAgainAfterTwiceAsLongEachTimeAndGivenUpAfterThreeDays(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.server.Refuse(testenv.StepRcpt, 450, "busy", -1)
		began := w.clock()
		w.start(nil)
		id := w.welcomed("ann")
		last := time.Duration(0)
		for attempt := 1; ; attempt++ {
			w.await("the mail was tried or given up", func() bool {
				m := w.mail(id)
				return m.Attempts >= attempt && m.Owner == "" || m.State == store.MailFailed
			})
			m := w.mail(id)
			if m.State == store.MailFailed {
				break
			}
			wait := m.NextAttemptAt.Sub(w.clock())
			if most := min(time.Minute<<(attempt-1), 6*time.Hour); wait > most || wait < most*3/4-time.Second {
				t.Errorf("after attempt %d it waits %s, want about %s", attempt, wait, most)
			}
			if m.Attempts != attempt || wait < last*3/4 || attempt > 40 {
				t.Fatalf("attempt %d: waits %s after %s: %+v", attempt, wait, last, m)
			}
			last = wait
			w.later(wait)
		}
		if age := w.clock().Sub(began); age < 3*24*time.Hour {
			t.Errorf("it was given up after %s", age)
		}
		if n := len(w.server.Mails()); n != 0 {
			t.Errorf("%d mails were taken", n)
		}
		if got := w.findings(); len(got) != 1 || !strings.Contains(got[0], "mail outbox: ") || !strings.Contains(got[0], "450 ") {
			t.Errorf("findings: %q", got)
		}
		w.server.Accept(testenv.StepRcpt)
		bob := w.welcomed("bob")
		w.await("the next mail is sent", func() bool { return w.mail(bob).State == store.MailSent })
		w.await("the finding is closed", func() bool { return len(w.findings()) == 0 })
		w.later(31 * 24 * time.Hour)
		w.await("the mail is forgotten", func() bool { return w.mail(id).State == "" })
	})
}

func TestWithoutAMailServerMailsWaitAndAreNeverSentLate(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		stop := w.start(func(o *notify.Options) { o.Server, o.From = nil, nil })
		ann := w.welcomed("ann")
		w.later(3*24*time.Hour + time.Minute)
		bob := w.welcomed("bob")
		w.await("the old one is given up", func() bool { return w.mail(ann).State == store.MailFailed })
		if m := w.mail(bob); m.State != store.MailQueued {
			t.Errorf("the new one is %s", m.State)
		}
		if got := w.findings(); len(got) != 1 || !strings.Contains(got[0], "--smtp-url") {
			t.Errorf("findings: %q", got)
		}
		stop()
		w.start(nil)
		w.await("bob is welcomed", func() bool { return w.mail(bob).State == store.MailSent })
		if len(w.server.Mails()) != 1 || len(w.findings()) != 0 {
			t.Errorf("%d mails, findings %q", len(w.server.Mails()), w.findings())
		}
	})
}

func TestAMailWithoutAnAnswerIsUncertainAndNotSentAgain(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		release := w.server.Hang(testenv.StepAnswer)
		w.start(func(o *notify.Options) { o.Answer = 200 * time.Millisecond })
		ann := w.welcomed("ann")
		w.await("the answer was waited for", func() bool { return w.mail(ann).State == store.MailUncertain })
		release()
		bob := w.welcomed("bob")
		w.await("bob is welcomed", func() bool { return w.mail(bob).State == store.MailSent })
		if n := len(w.server.To("ann@corp.test")); n != 1 {
			t.Errorf("ann got %d mails", n)
		}
		if got := w.findings(); len(got) != 1 || !strings.Contains(got[0], string(w.mail(ann).ID)+"@corp.test") || !strings.Contains(got[0], "ann@corp.test") {
			t.Errorf("findings: %q", got)
		}
	})
}

func TestAMailIsMadeOfTheRecordAsItIsWhenItIsSent(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.server.Refuse(testenv.StepRcpt, 450, "busy", 1)
		w.start(nil)
		ann := w.welcomed("ann")
		w.await("the first attempt is over", func() bool { m := w.mail(ann); return m.Attempts == 1 && m.Owner == "" })
		err := w.store.Update(t.Context(), func(tx store.Tx) error {
			u, err := tx.User(t.Context(), w.org, string(ann))
			if err != nil {
				return err
			}
			after := *u
			after.Enabled = false
			after.Version++
			_, err = tx.Apply(t.Context(), &store.ChangeSet{Org: w.org, Now: w.clock(), Cap: 10, Users: []store.UserChange{{Op: store.OpUpdate, Before: u, After: after}}})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.later(time.Hour)
		w.await("the mail is dropped", func() bool { return w.mail(ann).State == store.MailFailed })
		if m := w.mail(ann); !strings.Contains(m.LastError, "no longer active") || len(w.server.Mails()) != 0 || len(w.findings()) != 0 {
			t.Errorf("%+v, %d mails, findings %q", m, len(w.server.Mails()), w.findings())
		}
	})
}
