package run

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/provost-scim/provost/store"
)

// Doubter is a [Source] that can tell deleted entries from such as it may no longer see.
type Doubter interface {
	// Hidden tries containers, by DN, that had entries with these stable ids below them,
	// of which none is found. It says of those where that does not look like deletion why,
	// in a part of a sentence whose subject is the container.
	Hidden(ctx context.Context, gone map[string][]string) (why map[string]string, err error)
}

// Container is where entries were that are not found any more, although nobody can tell
// that they were deleted: the bind account may have lost the right to read there, and
// they may be too few for the guard.
type Container struct {
	DN   string `json:"dn"`
	Gone int    `json:"gone"` // records whose entries were directly in it
	Why  string `json:"why"`  // what speaks against deletion, in a part of a sentence
}

func (c *Container) sentence() string {
	who := fmt.Sprintf("%d records are not found any more where they were", c.Gone)
	if c.Gone == 1 {
		who = "1 record is not found any more where it was"
	}
	return fmt.Sprintf("%s, in %q, and %s: check that the bind DN may read there; %s", who, c.DN, c.Why, untouched)
}

// maxPlaces bounds the containers of a directory that are kept. Where there are more,
// nobody's absence is judged by where it was.
const maxPlaces = 50_000

// triedAtOnce is how many containers are tried together, and maxHidden how many are named
// that may be out of sight: one holds a run, and a person reads them.
const (
	triedAtOnce = 100
	maxHidden   = 10
)

// places are the containers of entries.
type places struct {
	parent func(name string) string
	hash   func(name string) [dnSize]byte
	texts  map[string]bool
	seen   map[string]string   // DNs by hash, of entries that were read
	gone   map[string][]string // stable ids by the hash of where they were, of records that are gone
}

// watch makes a run keep where entries are, if its source can tell what that says.
func (r *reading) watch() {
	if _, ok := r.source.(Doubter); !ok || r.w.e.opt.Parent == nil {
		return
	}
	r.places = &places{parent: r.w.e.opt.Parent, hash: r.w.e.opt.DNHash, texts: map[string]bool{}, seen: map[string]string{}, gone: map[string][]string{}}
}

// note keeps where an entry is.
func (p *places) note(e *store.Entry) {
	if p == nil {
		return
	}
	text := p.parent(e.DN)
	if text == "" || p.texts[text] || len(p.texts) > maxPlaces {
		return
	}
	text = strings.Clone(text)
	p.texts[text] = true
	if hash := p.hash(text); len(p.texts) <= maxPlaces {
		p.seen[hex.EncodeToString(hash[dnSize/2:])] = text
	}
}

// lose keeps where a record was that is gone, as far as that is known.
func (p *places) lose(n *node) {
	if p != nil && n.is(hashed) {
		key := container(n)
		p.gone[key] = append(p.gone[key], n.id)
	}
}

// container is the hash of where a record was when it was applied.
func container(n *node) string {
	dn := n.hash.dn()
	return hex.EncodeToString(dn[:dnSize/2])
}

// suspect returns the hashes of containers from which records are gone and in which no
// entry was read, but for those of which most records were read elsewhere: they were
// renamed or moved.
func (r *reading) suspect() (hashes []string) {
	p := r.places
	elsewhere := map[string]int{}
	for hash := range p.gone {
		if _, seen := p.seen[hash]; !seen {
			elsewhere[hash] = 0
		}
	}
	if len(elsewhere) == 0 {
		return nil
	}
	for i := range r.index.count {
		if n := r.index.node(i); n.is(known | hashed | read) {
			key := container(n)
			if count, ok := elsewhere[key]; ok {
				elsewhere[key] = count + 1
			}
		}
	}
	for hash, count := range elsewhere {
		if count <= len(p.gone[hash]) {
			hashes = append(hashes, hash)
		}
	}
	return hashes
}

// doubt finds the containers in which nobody is found any more, although nobody can tell
// that all were deleted. Single entries that are missing from where others are seen are
// above suspicion.
func (r *reading) doubt(ctx context.Context) error {
	p := r.places
	if p == nil || len(p.texts) > maxPlaces {
		return nil
	}
	hashes := r.suspect()
	if len(hashes) == 0 {
		return nil
	}
	var dns map[string]string
	err := r.w.e.store.View(ctx, func(v store.Reader) (err error) {
		dns, err = v.Containers(ctx, r.directory.Key, hashes)
		return err
	})
	if err != nil {
		return err
	}
	gone := make(map[string][]string, len(dns))
	for hash, dn := range dns {
		gone[dn] = p.gone[hash]
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(gone)), triedAtOnce) {
		tried := make(map[string][]string, len(some))
		for _, dn := range some {
			tried[dn] = gone[dn]
		}
		why, err := r.source.(Doubter).Hidden(ctx, tried)
		if err != nil {
			return sourceError{err}
		}
		for _, dn := range some {
			if reason, ok := why[dn]; ok {
				r.hidden = append(r.hidden, Container{DN: dn, Gone: len(gone[dn]), Why: reason})
			}
		}
		if len(r.hidden) >= maxHidden {
			r.hidden = r.hidden[:maxHidden]
			break
		}
	}
	return nil
}
