package store

import (
	"context"
	"time"
)

// IdempotencyKey is a request that carried an Idempotency-Key
// (draft-ietf-httpapi-idempotency-key-header), with its answer once there is one.
type IdempotencyKey struct {
	Org       Key
	Hash      []byte // of who called and the key
	Request   []byte // the hash of the request
	Status    int    // of the answer; 0: there is none yet
	Header    map[string][]string
	Body      []byte // nil: it was not to be kept
	CreatedAt time.Time
}

// IdempotencyWriter keeps which requests were made and how they were answered.
type IdempotencyWriter interface {
	// ClaimIdempotencyKey writes a key without an answer, of which the caller makes the
	// request. If the key is there already, it returns that instead and writes nothing.
	// Of several at one moment, one gets it.
	ClaimIdempotencyKey(ctx context.Context, k *IdempotencyKey) (earlier *IdempotencyKey, err error)
	// AnswerIdempotencyKey writes Status, Header and Body of a key that was claimed.
	AnswerIdempotencyKey(ctx context.Context, k *IdempotencyKey) error
	// ReleaseIdempotencyKey gives up a key that was claimed and not answered.
	ReleaseIdempotencyKey(ctx context.Context, k *IdempotencyKey) error
	// PurgeIdempotencyKeys deletes at most limit keys of all organizations that were
	// claimed before a time, and returns how many.
	PurgeIdempotencyKeys(ctx context.Context, before time.Time, limit int) (n int, err error)
}
