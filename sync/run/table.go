package run

// table finds the numbers of things by keys that the things themselves hold. It takes 4
// bytes a slot, where a map would hold each key again: of a large directory there are
// millions.
type table[K comparable] struct {
	slots []int32 // 1 + the number; 0: free. There is a power of two of them
	used  int
	key   func(number int32) K
	hash  func(key K) uint64
}

// newTable makes a table with room for n.
func newTable[K comparable](n int, key func(int32) K, hash func(K) uint64) *table[K] {
	size := 8
	for full(n, size) {
		size *= 2
	}
	return &table[K]{slots: make([]int32, size), key: key, hash: hash}
}

// full reports whether n are too many for so many slots: searches would become long.
func full(n, slots int) bool { return n*3 > slots*2 }

// find returns the number of what has the key, or none.
func (t *table[K]) find(key K) int32 {
	mask := uint64(len(t.slots) - 1)
	for at := t.hash(key) & mask; ; at = (at + 1) & mask {
		n := t.slots[at] - 1
		if n == none || t.key(n) == key {
			return n
		}
	}
}

// add adds a number whose key find does not find.
func (t *table[K]) add(number int32) {
	if t.used++; full(t.used, len(t.slots)) {
		old := t.slots
		t.slots = make([]int32, 2*len(old))
		for _, slot := range old {
			if slot != 0 {
				t.place(slot)
			}
		}
	}
	t.place(number + 1)
}

func (t *table[K]) place(slot int32) {
	mask := uint64(len(t.slots) - 1)
	at := t.hash(t.key(slot-1)) & mask
	for t.slots[at] != 0 {
		at = (at + 1) & mask
	}
	t.slots[at] = slot
}
