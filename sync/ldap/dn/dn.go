// Package dn compares distinguished names (RFC 4514) by a key, so that the
// hundreds of thousands of member values of a directory need not be parsed into
// trees and kept.
//
// Two names have the same [Key] if they are the same name however they are
// written: with other case (of types and values, ASCII or not), with other
// escapes ("\," or "\2C"), with space around the separators, with the parts of a
// multi-valued RDN in another order, or with a value in its BER form (#0403…).
//
// The package knows no schema: it never treats "cn" and "2.5.4.3" as one type, and
// never compresses space inside a value.
package dn

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"slices"
	"unicode"
	"unicode/utf8"
)

// Key stands for a distinguished name: 128 bits of a hash. Those of [Of] are made with
// a secret that each process draws anew: keys of one process are comparable; they
// cannot be stored. Those of [Hash] can.
type Key [16]byte

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

// Of returns the key of a distinguished name. What is not one has a key as well,
// which only the same text is sure to share.
func Of(name string) Key {
	var stack [512]byte
	canonical := appendCanonical(stack[:0], name)
	var k Key
	binary.LittleEndian.PutUint64(k[:8], maphash.Bytes(seeds[0], canonical))
	binary.LittleEndian.PutUint64(k[8:], maphash.Bytes(seeds[1], canonical))
	return k
}

// Hash returns a key that can be stored: it is the same in every process. Names have
// equal ones when they have equal ones of [Of]; it takes longer. Its second half is of the
// name, and its first half is the second one of the name above: of the parent's entry.
func Hash(name string) Key {
	var stack [512]byte
	canonical := appendCanonical(stack[:0], name)
	own, above := sha256.Sum256(canonical), sha256.Sum256(canonical[parent(canonical):])
	var k Key
	copy(k[:8], above[:])
	copy(k[8:], own[:])
	return k
}

// Parent returns the name above a name as it is written there, or "".
func Parent(name string) string { return name[parent(name):] }

// parent returns where the name above begins: after the first separator of RDNs, or at
// the end.
func parent[T []byte | string](name T) int {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '\\':
			i++
		case ',', ';':
			return i + 1
		}
	}
	return len(name)
}

// Classes of bytes in a name.
const (
	plain = iota
	space
	separator // , ; +
	backslash
	high // not ASCII
)

var classes, lower = func() (classes, lower [256]byte) {
	for i := range 256 {
		lower[i] = byte(i)
		if i >= 'A' && i <= 'Z' {
			lower[i] += 'a' - 'A'
		}
		if i >= utf8.RuneSelf {
			classes[i] = high
		}
	}
	classes[' '], classes['\\'] = space, backslash
	classes[','], classes[';'], classes['+'] = separator, separator, separator
	return classes, lower
}()

// appendCanonical appends the one spelling of a name: lower case, without space
// around separators, with a backslash before a separator or backslash that is part
// of a value, and with the parts of each RDN sorted.
func appendCanonical(b []byte, name string) []byte {
	var parts []int // where the parts of the RDN under way begin, if there are several
	rdn := len(b)
	i := 0
	for {
		// The type, up to "=".
		for i < len(name) && name[i] == ' ' {
			i++
		}
		start := len(b)
		for i < len(name) && name[i] != '=' && classes[name[i]] != separator {
			if classes[name[i]] == backslash {
				b, i = appendEscaped(b, name, i)
				continue
			}
			b = append(b, lower[name[i]])
			i++
		}
		b = trimSpace(b, start)
		if i < len(name) && name[i] == '=' {
			b = append(b, '=')
			b, i = appendValue(b, name, i+1)
		}
		if i == len(name) {
			return sortParts(b, rdn, parts)
		}
		end := name[i]
		i++
		if end == '+' {
			if parts == nil {
				parts = append(parts, rdn)
			}
			b = append(b, '+')
			parts = append(parts, len(b))
			continue
		}
		b = append(sortParts(b, rdn, parts), ',')
		parts, rdn = parts[:0:0], len(b)
	}
}

// appendValue appends the value that begins at name[i], and returns where the
// separator after it is.
func appendValue(b []byte, name string, i int) ([]byte, int) {
	for i < len(name) && name[i] == ' ' {
		i++
	}
	start, keep := len(b), len(b) // keep: what trimming must leave
	if i < len(name) && name[i] == '#' {
		if value, end, ok := decodeBER(name, i+1); ok {
			for _, c := range value {
				b = appendLiteral(b, c)
			}
			return foldHigh(b, start), end
		}
	}
	folds := false
	for i < len(name) {
		c := name[i]
		switch classes[c] {
		case separator:
			b = trimSpace(b, keep)
			if folds {
				b = foldHigh(b, start)
			}
			return b, i
		case backslash:
			b, i = appendEscaped(b, name, i)
			keep = len(b)
			folds = folds || b[keep-1] >= utf8.RuneSelf
			continue
		case high:
			folds = true
		}
		b = append(b, lower[c])
		i++
	}
	b = trimSpace(b, keep)
	if folds {
		b = foldHigh(b, start)
	}
	return b, i
}

// appendEscaped appends the character that the escape at name[i] stands for.
func appendEscaped(b []byte, name string, i int) ([]byte, int) {
	if i+2 < len(name) {
		if high, ok := unhex(name[i+1]); ok {
			if low, ok := unhex(name[i+2]); ok {
				return appendLiteral(b, high<<4|low), i + 3
			}
		}
	}
	if i+1 < len(name) {
		return appendLiteral(b, name[i+1]), i + 2
	}
	return append(b, '\\'), i + 1
}

// appendLiteral appends a byte of a value that may look like a separator.
func appendLiteral(b []byte, c byte) []byte {
	if k := classes[c]; k == separator || k == backslash {
		b = append(b, '\\')
	}
	return append(b, lower[c])
}

func unhex(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func trimSpace(b []byte, from int) []byte {
	for len(b) > from && b[len(b)-1] == ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// foldHigh folds the case of the characters in b[start:] that are not ASCII, by
// Unicode's simple folding, as [strings.EqualFold] compares.
func foldHigh(b []byte, start int) []byte {
	var stack [128]byte
	folded := stack[:0]
	for i := start; i < len(b); {
		if b[i] < utf8.RuneSelf {
			folded = append(folded, b[i])
			i++
			continue
		}
		r, size := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && size == 1 {
			folded = append(folded, b[i])
		} else {
			folded = utf8.AppendRune(folded, foldRune(r))
		}
		i += size
	}
	return append(b[:start], folded...)
}

// foldRune returns the least character of those that differ in case only, but the
// lower one of two ASCII letters.
func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	if least < utf8.RuneSelf {
		return rune(lower[least])
	}
	return least
}

// decodeBER decodes the value #HEX at name[i:] (RFC 4514 section 2.4), if it is the
// BER encoding of one string.
func decodeBER(name string, i int) (value []byte, end int, ok bool) {
	end = i
	for end < len(name) && classes[name[end]] != separator {
		end++
	}
	b, err := hex.DecodeString(string(bytes.TrimRight([]byte(name[i:end]), " ")))
	if err != nil || len(b) < 2 || b[0]&0x20 != 0 || int(b[1]) != len(b)-2 || b[1] >= 0x80 {
		return nil, 0, false
	}
	return b[2:], end, true
}

// sortParts sorts the parts of the RDN in b[rdn:], which are separated by "+".
func sortParts(b []byte, rdn int, parts []int) []byte {
	if len(parts) == 0 {
		return b
	}
	list := make([][]byte, len(parts))
	for n, start := range parts {
		end := len(b)
		if n+1 < len(parts) {
			end = parts[n+1] - 1
		}
		list[n] = bytes.Clone(b[start:end])
	}
	slices.SortFunc(list, bytes.Compare)
	return append(b[:rdn], bytes.Join(list, []byte{'+'})...)
}
