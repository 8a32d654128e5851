package notify

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// sweep ends mails that no attempt will end: those whose process died while it handed
// them over, those that are too old, and the memory of those long done.
func (m *Mailer) sweep(ctx context.Context) {
	if err := m.many(ctx, m.lapse); err != nil {
		m.complain(ctx, "look for mails whose process died", err)
	}
	if err := m.many(ctx, m.expire); err != nil {
		m.complain(ctx, "give up mails that are too old", err)
	}
	if now := m.now(); now.Sub(m.purged) >= purgeEvery {
		if err := m.many(ctx, m.purge); err != nil {
			m.complain(ctx, "purge mails", err)
		}
		m.purged = now
	}
}

// lapse says of mails whose process died that nobody knows.
func (m *Mailer) lapse(ctx context.Context, tx store.Tx) (int, error) {
	list, err := tx.LapseMails(ctx, sweep)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	const words = "the process that handed it over ended"
	var findings []store.Finding
	var events []store.Event
	for i := range list {
		mail := &list[i]
		about, err := m.about(ctx, tx, mail)
		if err != nil {
			return 0, err
		}
		findings = append(findings, m.uncertainty(mail, about, words))
		events = append(events, m.event(mail, store.EventMailUncertain, "", words))
	}
	if err := tx.Open(ctx, findings); err != nil {
		return 0, err
	}
	return len(list), tx.Append(ctx, events)
}

// about names the record of a mail for people.
func (m *Mailer) about(ctx context.Context, tx store.Tx, mail *store.Mail) (string, error) {
	switch mail.Kind {
	case store.MailWelcome:
		u, err := tx.User(ctx, mail.Org, string(mail.Resource))
		if err == nil {
			return u.Attributes.UserName, nil
		}
		return mail.Recipient, passed(err)
	default:
		run, err := tx.Run(ctx, mail.Org, mail.Resource)
		if err == nil {
			return run.DirectoryName, nil
		}
		return string(mail.Resource), passed(err)
	}
}

// passed is nil if the error only says that the record is gone.
func passed(err error) error {
	if store.CodeOf(err) == store.CodeNotFound {
		return nil
	}
	return err
}

// expire gives up mails that would come too late. There may be very many for one
// reason, so that an organization has one finding.
func (m *Mailer) expire(ctx context.Context, tx store.Tx) (int, error) {
	now := m.now()
	list, err := tx.ExpireMails(ctx, now.Add(-giveUpAfter), sweep)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	var findings []store.Finding
	var events []store.Event
	for i := range list {
		mail := &list[i]
		words := mail.LastError
		switch {
		case words == "" && m.server == nil:
			words = "this server has no mail server: provost serve --smtp-url"
		case words == "":
			words = "it was not its turn"
		}
		words = "it could not be sent within 3 days: " + words
		events = append(events, m.event(mail, store.EventMailFailed, "", words))
		findings = append(findings, store.Finding{
			FindingKey: outboxKey, Org: mail.Org, Name: "outbox", OpenedAt: now, SeenAt: now,
			Sentence: fmt.Sprintf("mails were given up because they could not be sent within 3 days, the last of them to %s; they are not sent late (%s)", mail.Recipient, words),
		})
	}
	// Of equal findings the last is kept, and those of several organizations are one
	// statement each.
	if err := openEach(ctx, tx, findings); err != nil {
		return 0, err
	}
	return len(list), tx.Append(ctx, events)
}

// openEach opens findings of several organizations: of one there is at most one.
func openEach(ctx context.Context, tx store.Tx, findings []store.Finding) error {
	last := map[store.Key]int{}
	for i := range findings {
		last[findings[i].Org] = i
	}
	for i := range findings {
		if last[findings[i].Org] != i {
			continue
		}
		if err := tx.Open(ctx, findings[i:i+1]); err != nil {
			return err
		}
	}
	return nil
}

// purge forgets mails that were done long ago, and closes what was found about them.
func (m *Mailer) purge(ctx context.Context, tx store.Tx) (int, error) {
	now := m.now()
	list, err := tx.PurgeMails(ctx, now.Add(-keepFor), sweep)
	if err != nil {
		return 0, err
	}
	closed := map[store.Key][]store.FindingKey{}
	for i := range list {
		if list[i].State != store.MailSent {
			closed[list[i].Org] = append(closed[list[i].Org], findingKey(&list[i]))
		}
	}
	for org, keys := range closed {
		if _, err := tx.Apply(ctx, &store.ChangeSet{Org: org, Now: now, Resolved: keys}); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}
