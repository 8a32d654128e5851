package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
)

// Every secret begins with these characters, so that scanners for leaked
// credentials can know it.
const secretMark = "pvt_"

const (
	secretBytes = 32                                    // of randomness
	secretSize  = len(secretMark) + (secretBytes*8+5)/6 // characters
	prefixSize  = len(secretMark) + 6                   // characters that are kept to recognise it by
	hashSize    = sha256.Size                           // bytes
)

// newSecret makes the secret of a token: 256 random bits, so that a plain hash of
// it can be kept and found by an index.
func newSecret() string {
	var b [secretBytes]byte
	if _, err := rand.Read(b[:]); err != nil {
		panic(err) // crypto/rand never fails on a supported system
	}
	return secretMark + base64.RawURLEncoding.EncodeToString(b[:])
}

// Hash is what is stored of a secret.
func Hash(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// wellFormed reports whether s could be a secret of ours. It keeps noise from the
// database.
func wellFormed(s string) bool {
	if len(s) != secretSize || s[:len(secretMark)] != secretMark {
		return false
	}
	_, err := base64.RawURLEncoding.DecodeString(s[len(secretMark):])
	return err == nil
}
