package store

import (
	"crypto/rand"
	"encoding/hex"
	"time"
)

// Key is the internal number of a row. It never leaves the process: clients see
// an [ID]. Zero means "none"; as a directory it means "internal", owned by none.
type Key int64

// ID is the public identifier of a record: a UUIDv7 (RFC 9562 section 5.7) in its
// 36-character lower-case form. The empty ID means "none".
type ID string

// NewID makes a UUIDv7 from the clock's time in milliseconds and 74 random bits.
func NewID(now time.Time) ID {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	ms := now.UnixMilli()
	for i := 5; i >= 0; i-- {
		b[i] = byte(ms)
		ms >>= 8
	}
	b[6] = b[6]&0x0f | 0x70
	b[8] = b[8]&0x3f | 0x80
	var out [36]byte
	hex.Encode(out[0:8], b[0:4])
	hex.Encode(out[9:13], b[4:6])
	hex.Encode(out[14:18], b[6:8])
	hex.Encode(out[19:23], b[8:10])
	hex.Encode(out[24:36], b[10:16])
	out[8], out[13], out[18], out[23] = '-', '-', '-', '-'
	return ID(out[:])
}

// ValidID reports whether s has the form of an [ID]; the version is not checked,
// so that an ID kept from another system could be used.
func ValidID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}
