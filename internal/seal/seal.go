// Package seal encrypts the secrets that Provost must be able to read again, such
// as the bind password of a directory, before they are stored.
//
// The usual path: [LoadOrCreateKey] or [ParseKey] gives the key, [New] a [Sealer],
// and [Sealer.Seal] and [Sealer.Open] work with a context that says what the
// secret belongs to, so that a sealed value moved to another row does not open.
//
// It never stores a key beside what the key protects, and it hashes nothing:
// tokens, of which only a hash is kept, are package auth's.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
)

// KeySize is the size of a key in bytes: AES-256.
const KeySize = 32

// version is the first byte of a sealed value, so that another algorithm can be
// told from this one.
const version = 1

// ErrOpen is returned for a value that was not sealed with this key and context,
// or was changed since.
var ErrOpen = errors.New("the secret cannot be decrypted (hint: is this the key with which it was stored?)")

// Sealer encrypts with AES-256-GCM. It may be used by several goroutines.
type Sealer struct {
	aead cipher.AEAD
}

// New returns a sealer for a key of [KeySize] bytes.
func New(key []byte) (*Sealer, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the encryption key has %d bytes; it must have %d", len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("use the encryption key: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("use the encryption key: %w", err)
	}
	return &Sealer{aead: aead}, nil
}

// Seal encrypts plain. context is bound to the result but not part of it. Each
// result has a random nonce of 96 bits, which is safe for 2^32 secrets a key.
func (s *Sealer) Seal(plain []byte, context string) ([]byte, error) {
	out := make([]byte, 1+s.aead.NonceSize(), 1+s.aead.NonceSize()+len(plain)+s.aead.Overhead())
	out[0] = version
	if _, err := rand.Read(out[1:]); err != nil {
		return nil, fmt.Errorf("make a nonce: %w", err)
	}
	return s.aead.Seal(out, out[1:], plain, []byte(context)), nil
}

// Open decrypts what Seal returned for the same context; else it is [ErrOpen].
func (s *Sealer) Open(sealed []byte, context string) ([]byte, error) {
	head := 1 + s.aead.NonceSize()
	if len(sealed) < head+s.aead.Overhead() || sealed[0] != version {
		return nil, ErrOpen
	}
	plain, err := s.aead.Open(nil, sealed[1:head], sealed[head:], []byte(context))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// WebhookSecret is the context of the secrets of the webhook with the id.
func WebhookSecret(webhook string) string { return "webhook/" + webhook + "/secret" }

// BindPassword is the context of the bind password of the directory with the id.
func BindPassword(directory string) string { return "directory/" + directory + "/bind_password" }
