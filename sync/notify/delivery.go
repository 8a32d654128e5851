package notify

import (
	"context"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// delivery sends mails over one connection, as long as it lasts.
type delivery struct {
	m     *Mailer
	conn  *connection
	words string // why the mail server could not be reached
}

func (d *delivery) close() {
	if d.conn != nil {
		d.conn.close()
		d.conn = nil
	}
}

// one sends one claimed mail, and reports whether the mail server could be reached.
func (d *delivery) one(ctx context.Context, m *store.Mail) (reached bool, err error) {
	l, why, err := d.m.letter(ctx, m)
	switch {
	case err != nil: // the others must not wait for it
		d.m.complain(ctx, "make a mail", err)
		return true, d.m.putOff(ctx, m, "the mail could not be made: the server's log says why")
	case why != "":
		return true, d.m.drop(ctx, m, why)
	}
	msg, err := message(d.m.from, m, l, d.m.now())
	if err != nil {
		return true, d.m.refused(ctx, m, l, err.Error())
	}
	if d.conn == nil {
		if d.conn, err = d.m.server.connect(ctx); err != nil {
			if ctx.Err() != nil {
				return true, nil //nolint:nilerr // the program stops, which is no fault of the server
			}
			d.words = wordsOf(err)
			d.m.log.WarnContext(ctx, "the mail server does not let us in", "error", err)
			return false, d.m.putOff(ctx, m, d.words)
		}
	}
	begun := error(nil)
	v, words, broken := d.conn.hand(ctx, handover{
		from: d.m.from.Address, to: m.Recipient, text: msg, answer: d.m.answer,
		begin: func() error {
			begun = d.m.store.Update(ctx, func(tx store.Tx) error { return tx.BeginMail(ctx, m, d.m.lease) })
			return begun
		},
	})
	if broken != nil {
		_ = d.conn.net.Close()
		d.conn = nil
	}
	switch v {
	case taken:
		return true, d.m.sent(ctx, m, words)
	case notEver:
		return true, d.m.refused(ctx, m, l, words)
	case notKnown:
		return true, d.m.unknown(ctx, m, l.about, words)
	case notAllowed:
		if store.CodeOf(begun) == store.CodeStale {
			return true, nil // another worker has it
		}
	}
	if ctx.Err() != nil { // it is given back as if it had not been tried
		return true, d.m.save(ctx, m, nil, nil)
	}
	return true, d.m.putOff(ctx, m, words)
}

// letter makes a mail of its record. why says that it is not wanted any more.
func (m *Mailer) letter(ctx context.Context, mail *store.Mail) (l *letter, why string, err error) {
	err = m.store.View(ctx, func(r store.Reader) error {
		o, err := r.OrganizationByKey(ctx, mail.Org)
		if err != nil {
			return err
		}
		switch mail.Kind {
		case store.MailWelcome:
			u, err := r.User(ctx, mail.Org, string(mail.Resource))
			switch {
			case store.CodeOf(err) == store.CodeNotFound:
				why = "the user was deleted before the mail was sent"
				return nil
			case err != nil:
				return err
			case !u.Active():
				why = "the user was no longer active when the mail was to be sent"
				return nil
			}
			l, err = welcome(o, u)
			return err
		case store.MailRunHeld:
			run, err := r.Run(ctx, mail.Org, mail.Resource)
			switch {
			case store.CodeOf(err) == store.CodeNotFound:
				why = "the run was deleted with its directory before the mail was sent"
				return nil
			case err != nil:
				return err
			case run.State != store.RunHeld:
				why = "the run was not held any more when the mail was to be sent"
				return nil
			}
			l, err = held(o, mail)
			return err
		}
		return fmt.Errorf("mail %s is of the unknown kind %q", mail.ID, mail.Kind)
	})
	return l, why, err
}
