package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/http"
	"net/mail"
	"strings"
	"testing"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// mailFlags are those of `provost serve` that send by the server, and try again soon.
func mailFlags(t *testing.T, server *testenv.SMTPServer, more ...string) []string {
	flags := []string{
		"--smtp-url", server.URL(), "--smtp-ca-file", server.CAFile, "--mail-from", "Provost <provost@example.com>", "--mail-retry", "50ms",
	}
	if strings.Contains(server.URL(), "user@") {
		flags = append(flags, "--smtp-password-file", server.PasswordFile(t))
	}
	return append(flags, more...)
}

// welcoming makes a directory of kind scim that welcomes new users, and returns a token
// for it.
func (p *provostServer) welcoming(t *testing.T, name string, flags ...string) (token string) {
	t.Helper()
	p.must(t, append([]string{"directory", "create", name, "--kind", "scim", "--domain-policy", "off", "--email-new-users"}, flags...)...)
	return p.must(t, "token", "create", "--directory", name)
}

// push creates a user and returns its id.
func (p *provostServer) push(t *testing.T, token, user string) store.ID {
	t.Helper()
	var created struct{ ID store.ID }
	p.scim(t, token, "POST", "/Users", user, http.StatusCreated, &created)
	return created.ID
}

func (p *provostServer) scim(t *testing.T, token, method, path, body string, status int, into any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+"/scim/v2"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/scim+json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != status {
		t.Fatalf("%s %s: %d, %v\n%s", method, path, answer.StatusCode, err, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatal(err)
		}
	}
}

// scimUser is the body of a user with one address.
func scimUser(name string, more string) string {
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":%q,"emails":[{"value":%q,"primary":true}]%s}`,
		name, name+"@example.com", more)
}

// readMail is a mail as its reader sees it.
type readMail struct {
	header        mail.Header
	subject, text string
}

func read(t *testing.T, m testenv.SMTPMail) readMail {
	t.Helper()
	parsed, err := mail.ReadMessage(strings.NewReader(m.Text))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, m.Text)
	}
	body := parsed.Body
	if strings.EqualFold(parsed.Header.Get("Content-Transfer-Encoding"), "quoted-printable") {
		body = quotedprintable.NewReader(body)
	}
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(parsed.Header.Get("Subject"))
	if err != nil {
		t.Fatal(err)
	}
	return readMail{parsed.Header, subject, strings.ReplaceAll(string(text), "\r\n", "\n")}
}

// mails are those about a record.
func (p *peer) mails(resource store.ID) (list []store.Mail) {
	p.t.Helper()
	p.view(func(ctx context.Context, r store.Reader) (err error) {
		list, err = r.Mails(ctx, p.org, resource)
		return err
	})
	return list
}

// mailState is the state of the one mail about a record, "" if there is none.
func (p *peer) mailState(resource store.ID) store.MailState {
	p.t.Helper()
	switch list := p.mails(resource); len(list) {
	case 0:
		return ""
	case 1:
		return list[0].State
	default:
		p.t.Fatalf("there are %d mails about %s", len(list), resource)
		return ""
	}
}

// mailCounts counts mails by state.
func (p *peer) mailCounts() (counts map[store.MailState]int) {
	p.t.Helper()
	p.view(func(ctx context.Context, r store.Reader) (err error) {
		counts, err = r.MailCounts(ctx)
		return err
	})
	return counts
}

// mailEvents are the types of the events about mails of a record.
func (p *peer) mailEvents(resource store.ID) (types []string) {
	p.t.Helper()
	for _, e := range p.events(0) {
		if e.Resource == resource && strings.HasPrefix(e.Type, "mail.") {
			types = append(types, e.Type)
		}
	}
	return types
}
