package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/provost-scim/provost/internal/auth"
	"github.com/provost-scim/provost/scim"
	"github.com/provost-scim/provost/store"
)

// The directory of the demonstration, and the name of its token.
const (
	demoDirectory = "demo"
	demoToken     = "demo"
)

// demonstrate makes sure that the demonstration's directory exists, gives it a new
// token in place of those of earlier starts, and prints what to paste.
func (p *program) demonstrate(ctx context.Context, w io.Writer, url, dsn string) error {
	now := time.Now().UTC().Truncate(time.Microsecond)
	cause := commandLine("serve --demo")
	var secret, userName string
	err := p.store.Update(ctx, func(tx store.Tx) error {
		org, err := tx.Organization(ctx, store.DefaultOrganization)
		if err != nil {
			return err
		}
		d, err := ensureDemo(ctx, tx, org.Key, cause, now)
		if err != nil {
			return err
		}
		if d.Kind != store.DirectorySCIM {
			return failed("rename it, or serve another database", "the directory %s exists and is of kind %s", demoDirectory, d.Kind)
		}
		old, err := tx.Tokens(ctx, org.Key, &d.Key)
		if err != nil {
			return err
		}
		for i := range old {
			if old[i].Name == demoToken {
				if err := auth.Revoke(ctx, tx, &old[i], cause, now); err != nil {
					return err
				}
			}
		}
		secret, err = auth.Issue(ctx, tx, &store.Token{Org: org.Key, Directory: d.Key, Name: demoToken, Role: store.RoleDirectory}, cause, now)
		if err != nil {
			return err
		}
		userName, err = freeUserName(ctx, tx, org.Key)
		return err
	})
	if err != nil {
		return fmt.Errorf("prepare the demonstration: %w", err)
	}
	return printDemo(w, reachable(url), dsn, secret, userName)
}

// ensureDemo finds the demonstration's directory or makes it, with its event.
func ensureDemo(ctx context.Context, tx store.Tx, org store.Key, cause store.Cause, now time.Time) (*store.Directory, error) {
	d, err := tx.Directory(ctx, org, demoDirectory)
	if store.CodeOf(err) != store.CodeNotFound {
		return d, err
	}
	d = &store.Directory{
		ID: store.NewID(now), Org: org, Name: demoDirectory, Kind: store.DirectorySCIM,
		Settings: store.DefaultSettings(store.DirectorySCIM), CreatedAt: now, UpdatedAt: now,
	}
	d.Settings.DomainPolicy = store.DomainsOff
	if err := tx.CreateDirectory(ctx, d); err != nil {
		return nil, err
	}
	data, err := json.Marshal(map[string]any{"after": map[string]any{"name": d.Name, "kind": d.Kind, "settings": d.Settings}})
	if err != nil {
		return nil, err
	}
	return d, tx.Append(ctx, []store.Event{{
		ID: store.NewID(now), Org: org, Directory: d.Key, Type: store.EventDirectoryCreated, Version: store.EventVersion,
		Kind: "Directory", Resource: d.ID, Cause: cause, Data: data, Time: now,
	}})
}

// freeUserName is a user name for the printed commands that nobody has yet, so
// that they work at every start.
func freeUserName(ctx context.Context, r store.Reader, org store.Key) (string, error) {
	const most = 10_000
	for n := 1; n <= most; n++ {
		name := "ada@example.com"
		if n > 1 {
			name = fmt.Sprintf("ada%d@example.com", n)
		}
		switch _, err := r.User(ctx, org, name); store.CodeOf(err) {
		case store.CodeNotFound:
			return name, nil
		case "", store.CodeConflict, store.CodeUniqueness:
		default:
			return "", err
		}
	}
	return "", failed("delete ./demo and start again", "the demonstration has had %d users", most)
}

// reachable is the URL with an address that a client can connect to.
func reachable(url string) string {
	scheme, host, _ := strings.Cut(url, "://")
	address, err := netip.ParseAddrPort(host)
	if err != nil || !address.Addr().IsUnspecified() {
		return url
	}
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, address.Port())
}

func printDemo(w io.Writer, url, dsn, secret, userName string) error {
	endpoint := url + scim.BasePath
	curl := func(args string) string {
		return fmt.Sprintf("curl -sS -H 'Authorization: Bearer %s' %s", secret, args)
	}
	find := curl(fmt.Sprintf(`-G --data-urlencode 'filter=userName eq "%s"' '%s/Users'`, userName, endpoint))
	id := curl(fmt.Sprintf(`-G --data-urlencode 'filter=userName eq "%s"' --data-urlencode 'attributes=id' '%s/Users'`, userName, endpoint)) +
		` | grep -o '"id" *: *"[^"]*"' | cut -d '"' -f 4`
	_, err := fmt.Fprintf(w, `Provost demonstration

  SCIM endpoint   %s
  token           %s
  directory       %s, with the domain policy off: users of every domain are let in
  REST, page      %s/api/v1, %s/docs
  database        %s

Create a user:

%s

Find it with a filter:

%s

Change it with a PATCH:

%s

For the other commands and REST, make an administrator's token:

export PROVOST_URL=%s PROVOST_TOKEN=$(%s admin token create --database %s)

`,
		endpoint, secret, demoDirectory, url, url, shown(dsn),
		curl(fmt.Sprintf(`-H 'Content-Type: application/scim+json' -d '{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"%s","name":{"givenName":"Ada","familyName":"Lovelace"},"emails":[{"value":"%s","type":"work","primary":true}],"active":true}' '%s/Users'`, userName, userName, endpoint)),
		find,
		curl(fmt.Sprintf(`-X PATCH -H 'Content-Type: application/scim+json' -d '{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","path":"title","value":"Countess"}]}' "%s/Users/$(%s)"`, endpoint, id)),
		url, os.Args[0], dsn)
	return err
}
