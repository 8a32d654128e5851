package flatten

// Index numbers keys from 0 in the order in which they are first seen.
type Index[K comparable] struct {
	numbers map[K]int32
	keys    []K
}

// NewIndex makes an index with room for n keys.
func NewIndex[K comparable](n int) *Index[K] {
	return &Index[K]{numbers: make(map[K]int32, n), keys: make([]K, 0, n)}
}

// Number returns the number of a key, and gives it one if it has none.
func (x *Index[K]) Number(key K) int32 {
	n, ok := x.numbers[key]
	if !ok {
		n = int32(len(x.keys))
		x.numbers[key] = n
		x.keys = append(x.keys, key)
	}
	return n
}

// Find returns the number of a key that has one.
func (x *Index[K]) Find(key K) (int32, bool) {
	n, ok := x.numbers[key]
	return n, ok
}

// Key returns the key with the number.
func (x *Index[K]) Key(n int32) K { return x.keys[n] }

// Len returns how many keys there are.
func (x *Index[K]) Len() int { return len(x.keys) }
