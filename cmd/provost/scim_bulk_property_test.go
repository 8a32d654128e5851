package main

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
)

// TestABulkIsTheSumOfItsOperations sends random operations to two programs, as a Bulk
// to the one and one by one to the other: each operation must have the same answer,
// and the same must be stored. The cap is so low that it decides often, and names
// are so few that they are fought over.
func TestABulkIsTheSumOfItsOperations(t *testing.T) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		for seed := range uint64(4) {
			together, alone := lowCapWorld(t), lowCapWorld(t)
			sameAlone(t, seed, 40, together, alone)
		}
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		world := func() *scimWorld {
			return newSCIMWorld(t, testenv.Postgres(t).Database(t, migrateForSCIM), "--cap", "3")
		}
		sameAlone(t, 9, 40, world(), world())
	})
}

func lowCapWorld(t *testing.T) *scimWorld {
	t.Helper()
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "provost.db")
	if err := migrateForSCIM(dsn); err != nil {
		t.Fatal(err)
	}
	return newSCIMWorld(t, dsn, "--cap", "3")
}

// twin is what both programs made of one operation, by its label.
type twin struct{ users, groups []string }

func sameAlone(t *testing.T, seed uint64, rounds int, together, alone *scimWorld) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	var known twin
	answers := map[string]int{}
	for round := range rounds {
		ops, labels := randomOps(rng, round, &known)
		got := together.bulk(t, 0, fillOps(t, together, ops)...)
		for i, op := range ops {
			want := alone.carryOut(t, op, labels[i])
			answers[op.Method+" "+want]++
			if want == dangling && got[i].Status >= "400" { // it may have other faults
				answers[dangling]++
			} else if got[i].said() != want {
				t.Fatalf("seed %d, round %d, operation %d: %s in a Bulk (%s), %s alone\nall: %s", seed, round, i, got[i].said(), got[i].Response.Detail, want, describeOps(ops, got))
			}
			if got[i].Status == "201" {
				together.saved[labels[i]] = string(got[i].id())
			}
		}
		known.users, known.groups = those(known.users, alone.saved), those(known.groups, alone.saved)
		if diff := cmp.Diff(alone.labelled(t), together.labelled(t)); diff != "" {
			t.Fatalf("seed %d, round %d: alone (-), in a Bulk (+): %s\nall: %s", seed, round, diff, describeOps(ops, got))
		}
	}
	for _, want := range []string{"POST 201", "POST 409 uniqueness", "PATCH 200", "PATCH 400 invalidValue", "PATCH 404", "PUT 200", "PUT 409 uniqueness", "DELETE 204", "DELETE 404", dangling} {
		if answers[want] == 0 {
			t.Errorf("seed %d: nothing was answered %s: %v", seed, want, answers)
		}
	}
}

// those returns the labels of records that were created.
func those(labels []string, created map[string]string) (out []string) {
	for _, l := range labels {
		if created[l] != "" {
			out = append(out, l)
		}
	}
	return out
}

func describeOps(ops []bulkOp, results []bulkResult) string {
	var out strings.Builder
	for i, o := range ops {
		fmt.Fprintf(&out, "\n%s %s %s %s → %s", o.Method, o.BulkID, o.Path, o.Data, results[i].said())
	}
	return out.String()
}

// randomOps makes the operations of one Bulk, and a label for what each creates.
// <label> stands for the id of a record of an earlier round.
func randomOps(rng *rand.Rand, round int, known *twin) (ops []bulkOp, labels []string) {
	var users, groups []string // of this round
	user := func() string { return reference(rng, known.users, users) }
	group := func() string { return reference(rng, known.groups, groups) }
	member := func() string {
		if rng.IntN(4) == 0 {
			return group()
		}
		return user()
	}
	body := func() string {
		extra := ""
		if rng.IntN(2) == 0 {
			extra += fmt.Sprintf(`,"externalId":"e%d"`, rng.IntN(20))
		}
		if rng.IntN(3) == 0 {
			extra += `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"` + user() + `"}}`
		}
		return fmt.Sprintf(`{"userName":"u%d@example.com"%s}`, rng.IntN(20), extra)
	}
	members := func() string {
		list := make([]string, rng.IntN(4))
		for i := range list {
			list[i] = `{"value":"` + member() + `"}`
		}
		return "[" + strings.Join(list, ",") + "]"
	}
	groupBody := func() string {
		return fmt.Sprintf(`{"displayName":"g%d","members":%s}`, rng.IntN(6), members())
	}
	for range 4 + rng.IntN(16) {
		label := letters(round*100 + len(ops))
		var op bulkOp
		switch rng.IntN(16) {
		case 0, 1, 2, 3:
			op = bulkOp{Method: http.MethodPost, Path: "/Users", BulkID: label, Data: raw(body())}
			users = append(users, label)
		case 4:
			op = bulkOp{Method: http.MethodPut, Path: "/Users/" + user(), Data: raw(body())}
		case 5:
			op = bulkOp{Method: http.MethodPatch, Path: "/Users/" + user(), Data: raw(fmt.Sprintf(`[{"op":"replace","value":{"userName":"u%d@example.com"}}]`, rng.IntN(20)))}
		case 6:
			op = bulkOp{Method: http.MethodPatch, Path: "/Users/" + user(), Data: raw(`[{"op":"replace","path":"manager","value":"` + user() + `"}]`)}
		case 7:
			op = bulkOp{Method: http.MethodDelete, Path: "/Users/" + user()}
		case 8:
			op = bulkOp{Method: http.MethodPost, Path: "/Groups", BulkID: label, Data: raw(groupBody())}
			groups = append(groups, label)
		case 9:
			op = bulkOp{Method: http.MethodPut, Path: "/Groups/" + group(), Data: raw(groupBody())}
		case 10:
			op = bulkOp{Method: http.MethodPatch, Path: "/Groups/" + group(), Data: raw(fmt.Sprintf(`[{"op":"replace","path":"displayName","value":"g%d"},{"op":"add","path":"members","value":%s}]`, rng.IntN(6), members()))}
		case 11:
			if rng.IntN(3) > 0 {
				continue
			}
			op = bulkOp{Method: http.MethodDelete, Path: "/Groups/" + group()}
		case 12:
			op = bulkOp{Method: http.MethodPatch, Path: "/Groups/" + group(), Data: raw(`[{"op":"remove","path":"members[value eq \"` + member() + `\"]"}]`)}
		case 13:
			filters := []string{`type eq \"Group\"`, `display co \"1\"`, `not (display sw \"u1\") and type eq \"User\"`}
			op = bulkOp{Method: http.MethodPatch, Path: "/Groups/" + group(), Data: raw(fmt.Sprintf(
				`[{"op":"add","path":"members","value":%s},{"op":"remove","path":"members[%s]"}]`, members(), filters[rng.IntN(len(filters))]))}
		default:
			op = bulkOp{Method: http.MethodPatch, Path: "/Groups/" + group(), Data: raw(`[{"op":"add","path":"members","value":` + members() + `}]`)}
		}
		ops, labels = append(ops, op), append(labels, label)
	}
	known.users, known.groups = append(known.users, users...), append(known.groups, groups...)
	return ops, labels
}

// letters writes a number as replays name what they save.
func letters(n int) string {
	return strings.Map(func(r rune) rune { return 'a' + r - '0' }, fmt.Sprintf("%05d", n))
}

// reference names a record of this round, of an earlier one, or nobody.
func reference(rng *rand.Rand, earlier, now []string) string {
	switch {
	case len(now) > 0 && rng.IntN(3) == 0:
		return "bulkId:" + now[rng.IntN(len(now))]
	case len(earlier) > 0 && rng.IntN(20) > 0:
		return "<" + earlier[max(0, len(earlier)-1-rng.IntN(20))] + ">"
	}
	return "01900000-0000-7000-8000-000000000000"
}

// dangling is what names a record that was refused.
const dangling = "dangling"

const nobodysID = "01900000-0000-7000-8000-000000000001"

// fillOps puts the ids of a program into operations. A record that was refused there
// has none.
func fillOps(t *testing.T, w *scimWorld, ops []bulkOp) []bulkOp {
	t.Helper()
	out := make([]bulkOp, len(ops))
	for i, op := range ops {
		op.Path = w.fillKnown(op.Path)
		if data, ok := op.Data.(json.RawMessage); ok {
			op.Data = raw(w.fillKnown(string(data)))
		}
		out[i] = op
	}
	return out
}

func (w *scimWorld) fillKnown(s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(name string) string {
		if id, ok := w.saved[strings.Trim(name, "<>")]; ok {
			return id
		}
		return nobodysID
	})
}

// carryOut sends one operation as a request of its own and says what became of it. One
// that refers to what was refused cannot be sent.
func (w *scimWorld) carryOut(t *testing.T, op bulkOp, label string) string {
	t.Helper()
	data, _ := op.Data.(json.RawMessage)
	path, body := op.Path, string(data)
	for strings.Contains(path+body, "bulkId:") {
		from := path + " " + body
		at := strings.Index(from, "bulkId:")
		name := from[at+len("bulkId:") : at+len("bulkId:")+5]
		id, ok := w.saved[name]
		if !ok {
			return dangling
		}
		path, body = strings.ReplaceAll(path, "bulkId:"+name, id), strings.ReplaceAll(body, "bulkId:"+name, id)
	}
	if op.Method == http.MethodPatch {
		body = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":` + body + `}`
	}
	a := w.send(t, scimRequest{method: op.Method, path: w.fillKnown(path), body: w.fillKnown(body)})
	if a.status == http.StatusCreated {
		w.saved[label] = a.text("id")
	}
	return strings.TrimSpace(fmt.Sprint(a.status) + " " + a.text("scimType"))
}

// labelled is what is stored, with labels for ids.
func (w *scimWorld) labelled(t *testing.T) pushed {
	t.Helper()
	first := map[string]string{}
	for label, id := range w.saved {
		if was, ok := first[id]; !ok || label < was {
			first[id] = label
		}
	}
	state := w.stored(t)
	for name, u := range state.Users {
		if label, ok := first[u.Manager]; ok {
			u.Manager = label
		}
		state.Users[name] = u
	}
	return state
}
