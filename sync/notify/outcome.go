package notify

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// sent: the mail server answers for it now.
func (m *Mailer) sent(ctx context.Context, mail *store.Mail, answer string) error {
	mail.State, mail.SentAt, mail.LastError = store.MailSent, m.now(), ""
	mail.Attempts++
	event := m.event(mail, store.EventMailSent, answer, "")
	return m.save(ctx, mail, &event, func(ctx context.Context, tx store.Tx) error {
		_, err := tx.Apply(ctx, &store.ChangeSet{Org: mail.Org, Now: m.now(), Resolved: []store.FindingKey{outboxKey, findingKey(mail)}})
		return err
	})
}

// putOff: another attempt may help.
func (m *Mailer) putOff(ctx context.Context, mail *store.Mail, words string) error {
	mail.State, mail.LastError = store.MailQueued, words
	mail.NextAttemptAt = m.now().Add(m.backOff(mail.Attempts))
	mail.Attempts++
	m.log.InfoContext(ctx, "mail is put off", "mail", mail.ID, "attempts", mail.Attempts, "until", mail.NextAttemptAt, "error", words)
	return m.save(ctx, mail, nil, nil)
}

// drop: nobody wants it any more, which is nobody's fault.
func (m *Mailer) drop(ctx context.Context, mail *store.Mail, why string) error {
	mail.State, mail.LastError = store.MailFailed, why
	event := m.event(mail, store.EventMailFailed, "", why)
	return m.save(ctx, mail, &event, nil)
}

// refused: no attempt will help, and a person should know.
func (m *Mailer) refused(ctx context.Context, mail *store.Mail, l *letter, words string) error {
	mail.State, mail.LastError = store.MailFailed, words
	mail.Attempts++
	event := m.event(mail, store.EventMailFailed, "", words)
	return m.save(ctx, mail, &event, func(ctx context.Context, tx store.Tx) error {
		return tx.Open(ctx, []store.Finding{m.finding(mail, l.about,
			fmt.Sprintf("%s to %s was refused for good and is not sent again: %s", whatItIs(mail, l.about), mail.Recipient, words))})
	})
}

// unknown: the mail server may have it.
func (m *Mailer) unknown(ctx context.Context, mail *store.Mail, about, words string) error {
	mail.State, mail.LastError = store.MailUncertain, words
	mail.Attempts++
	event := m.event(mail, store.EventMailUncertain, "", words)
	return m.save(ctx, mail, &event, func(ctx context.Context, tx store.Tx) error {
		return tx.Open(ctx, []store.Finding{m.uncertainty(mail, about, words)})
	})
}

// save writes what became of a mail, with its event and what else belongs to it. A mail
// that is another worker's by now stays as it is.
func (m *Mailer) save(ctx context.Context, mail *store.Mail, event *store.Event, more func(context.Context, store.Tx) error) error {
	err := m.insist(ctx, func(ctx context.Context, tx store.Tx) error {
		if err := tx.SaveMail(ctx, mail); err != nil {
			return err
		}
		if more != nil {
			if err := more(ctx, tx); err != nil {
				return err
			}
		}
		if event == nil {
			return nil
		}
		return tx.Append(ctx, []store.Event{*event})
	})
	if store.CodeOf(err) == store.CodeStale {
		m.log.WarnContext(ctx, "a mail was taken over by another worker", "mail", mail.ID, "state", mail.State)
		return nil
	}
	return err
}

// mailData is a mail in an event's data, without its text. Fields are only ever added.
type mailData struct {
	Mail      store.ID       `json:"mail"`
	Kind      store.MailKind `json:"kind"`
	Recipient string         `json:"recipient"`
	MessageID string         `json:"message_id,omitempty"`
	Attempts  int            `json:"attempts"`
	Answer    string         `json:"answer,omitempty"` // of the mail server
	Error     string         `json:"error,omitempty"`
}

// event tells of a mail as one of the record that it is about, so that a purge of the
// user takes the address out of it.
func (m *Mailer) event(mail *store.Mail, typ, answer, words string) store.Event {
	data, err := json.Marshal(mailData{mail.ID, mail.Kind, mail.Recipient, m.messageID(mail), mail.Attempts, answer, words})
	if err != nil {
		panic(err) // mailData is made of plain values
	}
	return store.Event{
		Org: mail.Org, Directory: mail.Directory, Type: typ, Kind: string(kindOf(mail)), Resource: mail.Resource,
		Cause: store.Cause{Actor: store.Actor{Kind: "system"}, Reason: "mail"}, Data: data, Time: m.now(),
	}
}

func (m *Mailer) messageID(mail *store.Mail) string {
	if m.from == nil {
		return ""
	}
	return messageID(m.from, mail)
}

// kindOf is the kind of the record that a mail is about.
func kindOf(mail *store.Mail) store.Kind {
	if mail.Kind == store.MailWelcome {
		return store.KindUser
	}
	return "Run"
}

func whatItIs(mail *store.Mail, about string) string {
	if mail.Kind == store.MailWelcome {
		return "the welcome mail of the user " + about
	}
	return "the mail about a held run of the directory " + about
}

// findingKey is the finding about one mail: of a user there is one mail, of a run one
// to each recipient.
func findingKey(mail *store.Mail) store.FindingKey {
	record := string(mail.Resource)
	if mail.Kind != store.MailWelcome {
		record += " " + mail.Recipient
	}
	return store.FindingKey{Directory: mail.Directory, Rule: store.RuleMail, Kind: kindOf(mail), Record: record}
}

// outboxKey is the finding about mails that grew too old, one for an organization.
var outboxKey = store.FindingKey{Rule: store.RuleMail, Record: "outbox"}

func (m *Mailer) finding(mail *store.Mail, about, sentence string) store.Finding {
	now := m.now()
	return store.Finding{FindingKey: findingKey(mail), Org: mail.Org, Sentence: sentence, Name: about, OpenedAt: now, SeenAt: now}
}

func (m *Mailer) uncertainty(mail *store.Mail, about, words string) store.Finding {
	return m.finding(mail, about, fmt.Sprintf(
		"%s to %s was handed over, but it is not known whether the mail server took it (%s); it is not sent again: look for the message id %s in the log of the mail server",
		whatItIs(mail, about), mail.Recipient, words, m.messageID(mail)))
}
