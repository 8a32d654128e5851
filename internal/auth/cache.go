package auth

import (
	"sync"
	"time"
)

// cache remembers credentials by the hash of the bearer token, so few and for so
// short a time that it needs no care: the oldest knowledge is as old as its time
// limit.
type cache struct {
	size int
	age  time.Duration

	mu         sync.Mutex
	generation uint64 // raised by clear: what was read before is not put after
	entries    map[[hashSize]byte]cached
}

type cached struct {
	credential *credential
	until      time.Time
}

func newCache(size int, age time.Duration) *cache {
	return &cache{size: size, age: age, entries: map[[hashSize]byte]cached{}}
}

// get returns a remembered credential, or nil and the generation to put it with.
func (c *cache) get(key [hashSize]byte, now time.Time) (*credential, uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.entries[key]
	if !ok || !now.Before(e.until) {
		return nil, c.generation
	}
	return e.credential, c.generation
}

func (c *cache) put(key [hashSize]byte, known *credential, generation uint64, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if len(c.entries) >= c.size {
		c.makeRoom(now)
	}
	c.entries[key] = cached{credential: known, until: now.Add(c.age)}
}

// makeRoom drops what has run out, and if nothing has, everything: it is read
// again soon enough.
func (c *cache) makeRoom(now time.Time) {
	for k, e := range c.entries {
		if !now.Before(e.until) {
			delete(c.entries, k)
		}
	}
	if len(c.entries) >= c.size {
		clear(c.entries)
	}
}

func (c *cache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	clear(c.entries)
}
