package gormstore

import (
	"errors"
	"testing"

	"github.com/provost-scim/provost/store"
)

// A key that is handed out twice would join what belongs to two records.
func TestKeysAreSpareOnlyWhenTheirSequenceCannotBeSetBack(t *testing.T) {
	onPostgres(t, testSpareKeys)
}

func testSpareKeys(t *testing.T, s *Store) {
	spare := func() int { return len(s.e.spare.keys["users"]) }
	take := func(x *tx) store.Key {
		keys, err := x.Keys(t.Context(), store.KindUser, 1)
		if err != nil {
			t.Fatal(err)
		}
		return keys[0]
	}

	inTx(t, s, func(x *tx) error {
		x.hasty = true
		take(x)
		return nil
	})
	if spare() != 0 {
		t.Errorf("a commit that does not wait for the log has left %d keys", spare())
	}
	failed := errors.New("failed")
	err := s.Update(t.Context(), func(st store.Tx) error {
		take(st.(*tx))
		return failed
	})
	if !errors.Is(err, failed) || spare() != 0 {
		t.Errorf("a transaction that failed has left %d keys, and ended with %v", spare(), err)
	}

	var first, second, third store.Key
	inTx(t, s, func(x *tx) error {
		first, second = take(x), take(x)
		return nil
	})
	inTx(t, s, func(x *tx) error {
		third = take(x)
		return nil
	})
	if second != first+1 || third != first+2 || spare() != keysAtOnce-3 {
		t.Errorf("keys %d, %d and %d, and then %d are spare; want three that follow each other, and %d", first, second, third, spare(), keysAtOnce-3)
	}

	// A new connection may be to a database that came back with less.
	s.e.read.SetMaxIdleConns(0)
	s.e.read.SetMaxIdleConns(1)
	var late store.Key
	inTx(t, s, func(x *tx) error {
		late = take(x)
		s.e.spare.forget() // as a connection does that is made meanwhile
		return nil
	})
	if late <= third+store.Key(keysAtOnce)-3 || spare() != 0 {
		t.Errorf("after a new connection the key %d is handed out, and %d are spare, though they were taken before another one", late, spare())
	}
}
