package gormstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
)

// arguments turns what the package works with into what the drivers take.
func (e *engine) arguments(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = e.argument(a)
	}
	return out
}

func (e *engine) argument(a any) any {
	switch v := a.(type) {
	case time.Time:
		return e.moment(v)
	case store.ID:
		if v == "" {
			return nil
		}
		return string(v)
	case store.Key:
		return int64(v)
	case int:
		return int64(v)
	case json.RawMessage:
		return string(v)
	case []byte:
		if v == nil {
			return nil
		}
		return v
	case []store.Key:
		return keys64(v)
	}
	return a
}

// moment is a time as the engine stores it; the zero time is null.
func (e *engine) moment(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	if e.postgres {
		return t.UTC().Truncate(time.Microsecond)
	}
	return t.UnixMicro()
}

// momentType is the type of columns that hold times, to cast an argument to.
func (e *engine) momentType() string {
	if e.postgres {
		return "timestamptz"
	}
	return "INTEGER"
}

// nullKey is an argument that is null for the key 0.
func nullKey(k store.Key) any {
	if k == 0 {
		return nil
	}
	return int64(k)
}

func keys64(keys []store.Key) []int64 {
	out := make([]int64, len(keys))
	for i, k := range keys {
		out[i] = int64(k)
	}
	return out
}

// timeScanner scans a time in either engine's form.
type timeScanner struct{ t *time.Time }

// scanTime scans a time that may be null, which is the zero time.
func scanTime(t *time.Time) sql.Scanner { return timeScanner{t} }

func (s timeScanner) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.t = time.Time{}
	case time.Time:
		*s.t = v.UTC()
	case int64:
		*s.t = time.UnixMicro(v).UTC()
	default:
		return fmt.Errorf("a time is stored as %T", src)
	}
	return nil
}

// keyScanner scans an integer that may be null.
type keyScanner struct{ k *store.Key }

// scanKey scans a key that may be null, which is 0.
func scanKey(k *store.Key) sql.Scanner { return keyScanner{k} }

func (s keyScanner) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.k = 0
	case int64:
		*s.k = store.Key(v)
	default:
		return fmt.Errorf("a key is stored as %T", src)
	}
	return nil
}

// idScanner scans a public id that may be null.
type idScanner struct{ id *store.ID }

// scanID scans a public id that may be null, which is the empty one.
func scanID(id *store.ID) sql.Scanner { return idScanner{id} }

func (s idScanner) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s.id = ""
	case string:
		*s.id = store.ID(v)
	case []byte:
		*s.id = store.ID(v)
	default:
		return fmt.Errorf("an id is stored as %T", src)
	}
	return nil
}

// placeScanner scans the value that a list is sorted by.
type placeScanner struct{ v *any }

// scanPlace scans a text or an integer of any size, which is an int64, or null.
func scanPlace(v *any) sql.Scanner { return placeScanner{v} }

func (s placeScanner) Scan(src any) error {
	switch src.(type) {
	case nil, string, int64:
		*s.v = src
		return nil
	default:
		return fmt.Errorf("what a list is sorted by is a %T", src)
	}
}

// jsonScanner scans a JSON document into a value.
type jsonScanner struct{ into any }

// scanJSON scans a JSON document; an empty text and null leave the value as it is.
func scanJSON(into any) sql.Scanner { return jsonScanner{into} }

func (s jsonScanner) Scan(src any) error {
	var text []byte
	switch v := src.(type) {
	case nil:
		return nil
	case string:
		text = []byte(v)
	case []byte:
		text = v
	default:
		return fmt.Errorf("a JSON document is stored as %T", src)
	}
	return s.ScanBytes(text)
}

// ScanBytes is Scan of what pgx has received, without a copy.
func (s jsonScanner) ScanBytes(text []byte) error {
	if len(text) == 0 {
		return nil
	}
	return json.Unmarshal(text, s.into)
}

// jsonText is a value as the JSON text that is stored.
func jsonText(v any) (string, error) {
	b, err := json.Marshal(v)
	return string(b), err
}
