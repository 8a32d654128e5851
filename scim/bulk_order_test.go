package scim

import (
	"net/http"
	"slices"
	"strconv"
	"testing"
)

// FuzzBulkOrder checks what order promises of any references: every operation comes
// once, after all that it refers to; those of one unit refer to each other; and what
// needs not move stays in its order.
func FuzzBulkOrder(f *testing.F) {
	f.Add([]byte{3, 1, 2, 0xff, 0, 0xff})          // a circle of two
	f.Add([]byte{2, 0xff, 1, 0, 0xff})             // forward and backward
	f.Add([]byte{5, 4, 3, 2, 1, 0, 0xff, 0, 0xff}) // many
	f.Fuzz(func(t *testing.T, input []byte) {
		if len(input) == 0 {
			return
		}
		b := &bulk{posts: map[string]*operation{}}
		for i := range int(input[0]) % 32 {
			o := &operation{method: http.MethodPost, bulkID: strconv.Itoa(i)}
			if i%5 == 4 {
				o.method, o.bulkID = http.MethodPatch, ""
			} else {
				b.posts[o.bulkID] = o
			}
			b.operations = append(b.operations, o)
		}
		at := 0
		for _, ref := range input[1:] {
			if ref == 0xff {
				at++
			} else if at < len(b.operations) {
				o := b.operations[at]
				o.references = append(o.references, strconv.Itoa(int(ref)%40))
			}
		}
		place := map[*operation]int{}
		for i, u := range b.order() {
			for _, o := range u {
				if _, again := place[o]; again {
					t.Fatal("an operation comes twice")
				}
				place[o] = i
			}
		}
		if len(place) != len(b.operations) {
			t.Fatalf("%d of %d operations", len(place), len(b.operations))
		}
		last, moved := -1, reached(b)
		for _, o := range b.operations {
			for _, ref := range o.references {
				post := b.posts[ref]
				switch {
				case post == nil:
				case place[post] > place[o]:
					t.Fatal("an operation goes before what it refers to")
				case place[post] == place[o] && post != o && !reaches(b, post, o):
					t.Fatal("operations share a unit that do not refer to each other")
				}
			}
			if !moved[o] && place[o] < last {
				t.Fatal("an operation moved that nothing refers to")
			}
			if !moved[o] {
				last = place[o]
			}
		}
	})
}

// reached are the operations that others refer to.
func reached(b *bulk) map[*operation]bool {
	out := map[*operation]bool{}
	for _, o := range b.operations {
		for _, ref := range o.references {
			if post := b.posts[ref]; post != nil {
				out[post] = true
			}
		}
	}
	return out
}

func reaches(b *bulk, from, to *operation) bool {
	seen, queue := map[*operation]bool{from: true}, []*operation{from}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		if o == to {
			return true
		}
		for _, ref := range o.references {
			if post := b.posts[ref]; post != nil && !seen[post] {
				seen[post] = true
				queue = append(queue, post)
			}
		}
	}
	return slices.Contains(queue, to)
}
