package bench

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

const (
	largeGroup = 9_999 // one less than the cap, so that one more fits
	smallGroup = 10
	newcomers  = 40
)

// BenchmarkMember adds one member to a large group and to a small one in turn, and
// removes it again.
func BenchmarkMember(b *testing.B) {
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			large := scaled(largeGroup, 50)
			p := newProvost(b, e.database(b))
			client := fill(b, p, e, large+newcomers)
			groups := [2]string{makeGroup(b, client, "large", large), makeGroup(b, client, "small", smallGroup)}
			add := func(group, i int) time.Duration {
				return patchTime(b, client, groups[group], "Add", large+1+i%newcomers)
			}
			remove := func(group, i int) time.Duration {
				return patchTime(b, client, groups[group], "Remove", large+1+i%newcomers)
			}
			var added, removed pairs
			for i := range scaled(400, 20) + newcomers { // the first ones warm up
				a, r := inTurn(i, add), inTurn(i, remove)
				if i >= newcomers {
					added.append(a)
					removed.append(r)
				}
			}
			against := fmt.Sprintf("group of %d: ", smallGroup)
			results.add(
				row{
					measurement: "add a member to a group of " + count(large), engine: e.name, provost: seconds(added.median(0)),
					floor: against + seconds(added.median(1)), value: added.ratio(), unit: times, target: atMost(1.2),
				},
				row{
					measurement: "remove it again", engine: e.name, provost: seconds(removed.median(0)),
					floor: against + seconds(removed.median(1)), value: removed.ratio(), unit: times,
				},
			)
			b.ReportMetric(added.ratio(), "add-ratio")
			b.ReportMetric(removed.ratio(), "remove-ratio")
		})
	}
}

// makeGroup creates a group of the first users that fill made.
func makeGroup(b *testing.B, client *scimClient, name string, size int) string {
	b.Helper()
	id, err := client.create("/Groups", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"`+name+`"}`)
	if err != nil {
		b.Fatal(err)
	}
	const chunk = 1000
	for first := 1; first <= size; first += chunk {
		var users []string
		for number := first; number < first+chunk && number <= size; number++ {
			users = append(users, filledID(number))
		}
		if err := client.patchMembers(id, "Add", users...); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := client.send(http.MethodGet, "/Groups/"+id+"?excludedAttributes=members", "", http.StatusOK); err != nil {
		b.Fatal(err)
	}
	return id
}

func patchTime(b *testing.B, client *scimClient, group, op string, user int) time.Duration {
	b.Helper()
	start := time.Now()
	if err := client.patchMembers(group, op, filledID(user)); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// inTurn measures 0 and 1, in an order that changes from one i to the next.
func inTurn(i int, measure func(which, i int) time.Duration) (both [2]time.Duration) {
	first := i % 2
	both[first] = measure(first, i)
	both[1-first] = measure(1-first, i)
	return both
}

// pairs are times of two things, measured in turn.
type pairs [2][]time.Duration

func (p *pairs) append(both [2]time.Duration) {
	for which, d := range both {
		p[which] = append(p[which], d)
	}
}

func (p *pairs) median(which int) time.Duration { return median(p[which]) }

// ratio is that of the medians: hundreds of pairs outlast any drift, and one slow
// request of a pair says nothing about the other.
func (p *pairs) ratio() float64 { return p.median(0).Seconds() / p.median(1).Seconds() }
