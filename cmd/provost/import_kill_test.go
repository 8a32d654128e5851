package main

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
)

// crew is a group of 17 people, and a person who is not in it.
func crew(w io.Writer) error {
	if err := testenv.WriteSkeleton(w); err != nil {
		return err
	}
	members := ""
	for i := range 18 {
		name := fmt.Sprintf("p%02d", i)
		_, err := fmt.Fprintf(w, "dn: uid=%[1]s,ou=people,%[2]s\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\n\n", name, testenv.Suffix)
		if err != nil {
			return err
		}
		if i < 17 {
			members += "member: uid=" + name + ",ou=people," + testenv.Suffix + "\n"
		}
	}
	_, err := fmt.Fprintf(w, "dn: cn=crew,ou=groups,%s\nobjectClass: groupOfNames\ncn: crew\n%s\n", testenv.Suffix, members)
	return err
}

func TestAnImportWhoseProgramIsKilledMakesTheOtherUsersAlike(t *testing.T) {
	server := testenv.Slapd(t, testenv.SlapdOptions{Write: crew})
	onBothDatabases(t, func(t *testing.T, dsn string) {
		w := &killWorld{dsn: dsn, key: filepath.Join(t.TempDir(), "secret.key")}
		p := startProvost(t, "--database", dsn, "--secret-key-file", w.key)
		w.token = p.token
		p.must(t, "role", "create", "Member")
		p.must(t, "role", "create", "Sailor")
		p.must(t, append([]string{"directory", "create", "corp", "--domain-policy", "off", "--default-role", "Member"}, pullFrom(t, server, server.TLSURL)...)...)
		if err := p.stop(); err != nil {
			t.Fatal(err)
		}

		at := windowKill("between windows of users", 2)
		lift := hang(t, dsn, at.table, at.when)
		first, db := w.start(t, dsn), openPeer(t, dsn, "")
		id := store.ID(decode[struct{ ID string }](t, first.must(t, "import", "corp", "--group", "crew", "--role", "Sailor", "--disabled", "--json")).ID)
		await(t, "the run is "+at.name, func() bool { return at.there(seen{Run: db.run(id)}) })
		first.kill(t)
		if n := len(db.state().Users); n != 10 {
			t.Errorf("%d users are there when the program is killed, want 10", n)
		}
		lift()
		await(t, "the lease has run out", func() bool { return db.run(id).LeaseUntil.Before(time.Now()) })

		second := w.start(t, dsn)
		await(t, "the run is taken up and ends", func() bool { return db.run(id).State.Finished() })
		run := db.run(id)
		same(t, "state", store.RunSucceeded, run.State)
		same(t, "users", store.Counts{Created: 17}, run.Counts.Users)
		s := db.state()
		same(t, "members", 17, len(s.Groups["crew"].Members))
		for name, u := range s.Users {
			if u.Active {
				t.Errorf("%s is active", name)
			}
			second.wantGranted(t, "imported", "user", name, "role:Sailor")
		}
	})
}
