package store

import (
	"encoding/json"
	"net/mail"
	"strings"
	"time"
	"unicode"
)

// MailKind is what a mail is about. Mails of a kind that sorts first are sent first:
// a held run waits for a person, a welcome does not.
type MailKind string

// The kinds of mail.
const (
	MailRunHeld MailKind = "run_held" // rule 6: to those whom the organization names
	MailWelcome MailKind = "welcome"  // rule 10: to a user that was created active
)

// MailState is how far a mail is.
type MailState string

// The states. A mail that is being handed over when its process dies becomes
// uncertain, and is not sent again: a mail is sent at most once.
const (
	MailQueued    MailState = "queued"    // waits to be sent for the first time or again
	MailSending   MailState = "sending"   // is being handed over: the server may have it
	MailSent      MailState = "sent"      // the server has taken it
	MailFailed    MailState = "failed"    // refused for good, or too old
	MailUncertain MailState = "uncertain" // the server may have taken it: its log knows
)

// MailStates are all of them.
var MailStates = []MailState{MailQueued, MailSending, MailSent, MailFailed, MailUncertain}

// Mail is one mail to one recipient. It holds no text: that is made of the record
// when the mail is sent.
type Mail struct {
	Key           Key
	ID            ID // made by QueueMails when empty; the Message-ID is made of it
	Org           Key
	Directory     Key
	Kind          MailKind
	Recipient     string          // an address; see [MailAddress]
	Resource      ID              // the user or the run
	Dedupe        string          // unique in the organization: of equal mails one is sent
	Data          json.RawMessage // of a held run: a [HeldRun]
	State         MailState
	Attempts      int
	NextAttemptAt time.Time
	Owner         string // the worker that holds the lease
	Fence         int64
	LastError     string
	CreatedAt     time.Time
	SentAt        time.Time // when the server took it
}

// HeldRun is the data of a mail about a held run: what it would take away.
type HeldRun struct {
	Directory string      `json:"directory"`
	Why       []string    `json:"why"` // sentences
	Taken     []TakenAway `json:"taken"`
}

// TakenAway is one class of rule 6; of [LossMembersRemoved], of one group.
type TakenAway struct {
	Class LossClass `json:"class"`
	Taken int       `json:"taken"`
	Of    int       `json:"of"`
	// OutOfScope is what of Taken only leaves the scope.
	OutOfScope int `json:"out_of_scope,omitempty"`

	Over bool `json:"over"` // beyond the threshold
}

// WelcomeMail is the mail to a new user, nil if no address of the user's can be
// written to: the primary email, or else a userName that is an address.
func WelcomeMail(u *User, now time.Time) *Mail {
	to, ok := MailAddress(u.Attributes.PrimaryEmail())
	if !ok {
		if to, ok = MailAddress(u.Attributes.UserName); !ok {
			return nil
		}
	}
	return &Mail{
		Org: u.Org, Directory: u.Directory, Kind: MailWelcome, Recipient: to, Resource: u.ID,
		Dedupe: "welcome:" + string(u.ID), State: MailQueued, NextAttemptAt: now, CreatedAt: now,
	}
}

// maxMailAddress is the most bytes of an address (RFC 5321 section 4.5.3.1.3, without
// the angle brackets).
const maxMailAddress = 254

// MailAddress is an address as SMTP has it, with its domain in ASCII, and whether s is
// one: local-part@domain of RFC 5321, without a name, comments or control characters.
func MailAddress(s string) (string, bool) {
	if s == "" || len(s) > maxMailAddress || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return "", false
	}
	domain := DomainOf(s)
	a, err := mail.ParseAddress(s)
	if domain == "" || err != nil || a.Name != "" || a.Address != s {
		return "", false
	}
	at := strings.LastIndexByte(s, '@')
	for i := at; i < len(s); i++ {
		if s[i] >= 0x80 {
			s = s[:at+1] + domain
			break
		}
	}
	return s, len(s) <= maxMailAddress
}

// Agenda is when there is something to do about what is to be sent.
type Agenda struct {
	Next  time.Time     // the earliest attempt of what nobody holds; zero: none
	Held  bool          // somebody holds something
	Lapse time.Duration // until the first of those leases runs out, by the database's clock
}
