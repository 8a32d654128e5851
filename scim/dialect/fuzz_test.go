package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"
)

// FuzzDecode holds the decoder to encoding/json: the same values from the same bodies, apart from what it is meant to refuse.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{"a":[1,-2.5e3,true,false,null,"x\u00e9\n"]}`, `{"a":1,"a":{"b":[]}}`, ` [ ] `, `"\ud800"`, `01`, `{"a" 1}`, `tru`} {
		f.Add([]byte(s))
	}
	for _, body := range clients(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decode(body)
		want, wantErr := reference(body)
		var scim scimerrors.ScimError
		if err != nil {
			if !errors.As(err, &scim) || scim.Status != 400 {
				t.Fatalf("got %v, want a ScimError 400", err)
			}
			bound := strings.Contains(scim.Detail, "deep") || strings.Contains(scim.Detail, "values") || strings.Contains(scim.Detail, "NUL") || strings.Contains(scim.Detail, "surrogate")
			if wantErr == nil && !bound && utf8.Valid(body) {
				t.Fatalf("refused what encoding/json takes: %v", err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("took what encoding/json refuses: %v", wantErr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func reference(body []byte) (any, error) {
	if !json.Valid(body) {
		return nil, errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return v, err
}

// FuzzBodies checks that whatever a client sends, what comes out is canonical: decoding it again gives the same.
func FuzzBodies(f *testing.F) {
	f.Add([]byte(`{"userName":"u","emails":{"value":"a","primary":"True"},"manager":["7"],"name.givenName":"K"}`))
	f.Add([]byte(`{"displayName":"u","members":[{"value":"a"}],"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"D"}}`))
	f.Add([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Add","path":"x","value":1}]}`))
	for _, body := range clients(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var scim scimerrors.ScimError
		user, err := User(body)
		if err == nil {
			printed, err := json.Marshal(user)
			if err != nil {
				t.Fatal(err)
			}
			again, err := User(printed)
			if err != nil {
				t.Fatalf("%s: %v", printed, err)
			}
			if diff := cmp.Diff(user, again); diff != "" {
				t.Fatal(diff)
			}
		} else if !errors.As(err, &scim) {
			t.Fatal(err)
		}
		if _, err := Group(body); err != nil && !errors.As(err, &scim) {
			t.Fatal(err)
		}
		if _, err := Patch(body); err != nil && !errors.As(err, &scim) {
			t.Fatal(err)
		}
	})
}
