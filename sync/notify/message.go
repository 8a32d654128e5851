package notify

import (
	"encoding/json"
	"fmt"
	netmail "net/mail"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/provost-scim/provost/store"
)

// letter is a mail made of its record.
type letter struct {
	subject, text string
	about         string // the user or the directory, for people
}

// welcome makes the letter to a new user.
func welcome(o *store.Organization, u *store.User) (*letter, error) {
	w := Welcome{Name: nameOf(u), UserName: u.Attributes.UserName, Organization: o.Name, SignInURL: o.Settings.SignInURL}
	subject, text, err := w.render(&o.Settings)
	if err != nil {
		return nil, err
	}
	return &letter{subject: subject, text: text, about: u.Attributes.UserName}, nil
}

// classWords are the classes of rule 6 in words.
var classWords = map[store.LossClass]string{
	store.LossUsersDeactivated: "users deactivated",
	store.LossUsersDeleted:     "users deleted",
	store.LossGroupsDeleted:    "groups deleted or out of scope",
	store.LossMembersRemoved:   "members removed from one group",
}

// held makes the letter about a held run.
func held(o *store.Organization, m *store.Mail) (*letter, error) {
	var h store.HeldRun
	if err := json.Unmarshal(m.Data, &h); err != nil {
		return nil, fmt.Errorf("read what the run would take away: %w", err)
	}
	directory := oneLine(h.Directory, maxValue)
	var b strings.Builder
	fmt.Fprintf(&b, "A run of the directory %s (organization %s) is held until a person decides. Nothing has been changed.\n\n",
		directory, oneLine(o.Name, maxValue))
	for _, why := range h.Why {
		fmt.Fprintf(&b, "  - %s\n", oneLine(why, maxValue))
	}
	fmt.Fprintf(&b, "\nIt would take away:\n\n")
	for _, c := range h.Taken {
		words := classWords[c.Class]
		if words == "" {
			words = oneLine(string(c.Class), maxValue)
		}
		over := ""
		if c.OutOfScope > 0 {
			over = fmt.Sprintf(", %d of them out of scope", c.OutOfScope)
		}
		if c.Over {
			over += "  more than allowed"
		}
		fmt.Fprintf(&b, "    %-32s %d of %d%s\n", words, c.Taken, c.Of, over)
	}
	in := ""
	if o.Name != store.DefaultOrganization {
		in = " --organization " + shellWord(o.Name)
	}
	fmt.Fprintf(&b, `
Look at it, and at every record in it (GET /api/v1/runs/%[2]s/items); then let it go on, or drop it:

    provost sync status%[3]s %[1]s --run %[2]s
    provost sync approve%[3]s %[2]s
    provost sync discard%[3]s %[2]s

A later run of the directory replaces this one.
`, shellWord(directory), m.Resource, in)
	return &letter{subject: oneLine("Held: a run of the directory "+directory, maxSubjectMade), text: b.String(), about: directory}, nil
}

// shellWord quotes a name for a command line if it needs it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "" && s[0] != '-' {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// message puts a letter into the form of RFC 5322. Its Message-ID is the same however
// often it is made.
func message(from *netmail.Address, m *store.Mail, l *letter, now time.Time) (*mail.Msg, error) {
	msg := mail.NewMsg(mail.WithNoDefaultUserAgent())
	msg.FromMailAddress(from)
	if err := msg.To(m.Recipient); err != nil {
		return nil, fmt.Errorf("the address %q cannot be written to: %w", m.Recipient, err)
	}
	msg.SetMessageIDWithValue(messageID(from, m))
	msg.SetDateWithValue(now)
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence answers it
	msg.Subject(l.subject)
	msg.SetBodyString(mail.TypeTextPlain, l.text)
	return msg, nil
}

// messageID is the Message-ID of a mail without the angle brackets.
func messageID(from *netmail.Address, m *store.Mail) string {
	return string(m.ID) + "@" + store.DomainOf(from.Address)
}
