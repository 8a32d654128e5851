package ldap_test

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/provost-scim/provost/internal/testenv"
)

// What a run of changes asks of a domain follows from the changes, and not from who else
// is there: the same ten changes are as many requests and entries in a domain of 50 users
// as in one of 1,500.
func TestWhatAsksForTheChangesOfADomainDoesNotGrowWithIt(t *testing.T) {
	const changed = 10
	asked := map[int]int64{}
	for _, size := range []int{50, 1_500} {
		dc := testenv.Samba(t, testenv.SambaOptions{Write: func(w io.Writer) (err error) {
			for i := range size {
				_, err = fmt.Fprintf(w, "dn: CN=User %d,OU=People,%s\nobjectClass: user\nsAMAccountName: u%d\nuserAccountControl: 544\n\n", i, testenv.DomainSuffix, i)
			}
			return err
		}})
		d := &tellingDomain{&followed{t: t, admin: dc.Admin(t)}, dc}
		user := func(i int) string { return fmt.Sprintf("CN=User %d,OU=People,%s", i, dc.Suffix) }
		dc.ShowTombstones(dc.BindDN)
		d.must(d.admin.Del(ldap.NewDelRequest(user(size-1), nil))) // an account that sees no tombstone is told who is there
		d.reads()
		start := time.Now()
		d.mark()
		whole := time.Since(start)

		for i := range changed {
			d.title(user(i), "Changed")
		}
		start = time.Now()
		following := d.follow()
		entries, err := following.Read(t.Context(), following.Changed())
		d.must(err)
		t.Logf("%d users: read whole in %v, %d changes in %v", size, whole, changed, time.Since(start))
		if len(following.Changed()) != changed || len(entries) != changed || following.Listed() {
			t.Errorf("of %d users %d have changed and %d were read; all were listed: %v", size, len(following.Changed()), len(entries), following.Listed())
		}
		asked[size] = following.Requests()
		dc.Stop()
	}
	if asked[50] != asked[1_500] {
		t.Errorf("requests by the number of users: %v", asked)
	}
}
