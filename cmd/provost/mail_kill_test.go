package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// mailKill is a place in the sending of a mail at which the program is killed.
type mailKill struct {
	name  string
	step  string // of the mail server, which hangs there
	when  string // or: the change of the mail's row that hangs
	there func(*testenv.SMTPServer) bool
	// What becomes of the mail that was being sent. Every mail is taken once.
	want store.MailState
}

func TestAProgramKilledAnywhereWhileItSendsSendsEachMailOnce(t *testing.T) {
	t.Parallel()
	arrived := func(step string, mails int) func(*testenv.SMTPServer) bool {
		return func(s *testenv.SMTPServer) bool { return s.Arrived(step) > 0 && len(s.Mails()) == mails }
	}
	onBothDatabases(t, func(t *testing.T, dsn string) {
		w := &killWorld{dsn: dsn, key: filepath.Join(t.TempDir(), "secret.key")}
		p := startProvost(t, "--database", dsn, "--secret-key-file", w.key)
		w.token = p.token
		token := p.welcoming(t, "clients")
		var ids []store.ID
		for i := range 3 {
			ids = append(ids, p.push(t, token, scimUser(fmt.Sprint("user", i), `,"active":true`)))
		}
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}
		for _, at := range []mailKill{
			{name: "while it connects", step: testenv.StepConnect, there: arrived(testenv.StepConnect, 0), want: store.MailSent},
			{name: "while it names the recipient", step: testenv.StepRcpt, there: arrived(testenv.StepRcpt, 0), want: store.MailSent},
			{name: "before it marks the mail", when: "NEW.state = 'sending'", there: arrived(testenv.StepRcpt, 0), want: store.MailSent},
			{name: "before it hears the answer", step: testenv.StepAnswer, there: arrived(testenv.StepAnswer, 1), want: store.MailUncertain},
			{name: "before it writes the answer down", when: "NEW.state = 'sent'", there: arrived(testenv.StepAnswer, 1), want: store.MailUncertain},
		} {
			t.Run(at.name, func(t *testing.T) {
				dsn := w.copy(t)
				server := testenv.SMTP(t, testenv.SMTPOptions{})
				var lift func()
				if at.when != "" {
					lift = hang(t, dsn, "mail", at.when)
				} else {
					lift = server.Hang(at.step)
				}
				first, db := w.start(t, dsn, mailFlags(t, server)...), openPeer(t, dsn, "")
				await(t, "a mail is "+at.name, func() bool { return at.there(server) })
				first.kill(t)
				lift()

				w.start(t, dsn, mailFlags(t, server)...)
				states := func() (list []store.MailState) {
					for _, id := range ids {
						list = append(list, db.mailState(id))
					}
					slices.Sort(list)
					return list
				}
				done := func() bool {
					c := db.mailCounts()
					return c[store.MailQueued]+c[store.MailSending] == 0
				}
				await(t, "all mails are done", done)
				want := []store.MailState{at.want, store.MailSent, store.MailSent}
				slices.Sort(want)
				if diff := cmp.Diff(want, states()); diff != "" {
					t.Errorf("states (-want +got):\n%s", diff)
				}
				for i, id := range ids {
					got := server.To(fmt.Sprintf("user%d@example.com", i))
					if len(got) != 1 {
						t.Errorf("user%d got %d mails", i, len(got))
						continue
					}
					if m := db.mails(id)[0]; read(t, got[0]).header.Get("Message-Id") != "<"+string(m.ID)+"@example.com>" {
						t.Errorf("the message id of %s does not name its mail %s", got[0].Text, m.ID)
					}
					if n := len(db.mailEvents(id)); n != 1 {
						t.Errorf("user%d has %d events about mails", i, n)
					}
				}
				if found := len(db.findings()); found != map[store.MailState]int{store.MailUncertain: 1}[at.want] {
					t.Errorf("findings: %v", db.findings())
				}
			})
		}
	})
}
