package dialect

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	scimerrors "github.com/elimity-com/scim/errors"
	"github.com/google/go-cmp/cmp"
)

// clients are bodies in the shapes that clients send, a line each.
func clients(t testing.TB) (bodies [][]byte) {
	t.Helper()
	file, err := os.Open("testdata/clients.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		bodies = append(bodies, bytes.Clone(lines.Bytes()))
	}
	if err := lines.Err(); err != nil || len(bodies) == 0 {
		t.Fatal("no clients", err)
	}
	return bodies
}

const bulkHead = `{"schemas":["` + BulkRequestURN + `"],"Operations":`

func TestBulkReadsOperations(t *testing.T) {
	data := map[string]any{"userName": "x"}
	tests := []struct {
		name, body string
		want       BulkRequest
	}{
		{
			"the RFC's names", bulkHead + `[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"x"}}],"failOnErrors":3}`,
			BulkRequest{3, []BulkOperation{{Method: "POST", Path: "/Users", BulkID: "a", Data: data}}},
		},
		{
			"a byte order mark", "\ufeff" + bulkHead + `[{"method":"DELETE","path":"/Users/1"}]}`,
			BulkRequest{0, []BulkOperation{{Method: "DELETE", Path: "/Users/1"}}},
		},
		{
			"names in any case, unknown ones", `{"x":[{"Operations":1}],"SCHEMAS":["` + strings.ToUpper(BulkRequestURN) + `"],"operations":[{"Method":"put","PATH":"/Users/1","version":"W/\"1\"","Data":{"userName":"x"},"y":2}],"FailOnErrors":null}`,
			BulkRequest{0, []BulkOperation{{Method: "PUT", Path: "/Users/1", Version: `W/"1"`, Data: data}}},
		},
		{
			"the canonical spelling wins, wherever it stands", `{"operations":[{"method":"PUT","path":"/Users/2"}],"schemas":["` + BulkRequestURN + `"],"Operations":[{"method":"DELETE","METHOD":"POST","path":"/Users/1","Path":"/Users/3"}],"OPERATIONS":[7],"Schemas":["x"],"failOnErrors":2,"failonerrors":3}`,
			BulkRequest{2, []BulkOperation{{Method: "DELETE", Path: "/Users/1"}}},
		},
		{
			"an operation that is none beside one that is", bulkHead + `[7,{"method":"DELETE","path":"/Users/1","bulkId":null}]}`,
			BulkRequest{0, []BulkOperation{{Err: fail(scimerrors.ScimTypeInvalidSyntax, "each of Operations must be an object")}, {Method: "DELETE", Path: "/Users/1"}}},
		},
		{
			"an operation with a path of the wrong type", bulkHead + `[{"method":"DELETE","path":1}]}`,
			BulkRequest{0, []BulkOperation{{Method: "DELETE", Err: fail(scimerrors.ScimTypeInvalidSyntax, "path must be a string")}}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Bulk(iotest.OneByteReader(strings.NewReader(tt.body)), 10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestBulkStopsAtItsLimitWithoutReadingOn(t *testing.T) {
	endless := io.MultiReader(strings.NewReader(bulkHead+`[{}`), &repeated{text: `,{}`})
	if _, err := Bulk(endless, 1000); !errors.Is(err, ErrTooManyOperations) {
		t.Errorf("got %v", err)
	}
}

// repeated is a stream without an end.
type repeated struct {
	text string
	at   int
}

func (r *repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = r.text[r.at%len(r.text)]
		r.at++
	}
	return len(p), nil
}

func TestBulkPassesOnWhatTheStreamFailedOf(t *testing.T) {
	broken := errors.New("the connection is gone")
	_, err := Bulk(io.MultiReader(strings.NewReader(bulkHead+`[{}`), iotest.ErrReader(broken)), 10)
	if !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestPatchDataReadsListsAndRequests(t *testing.T) {
	for name, body := range map[string]string{
		"a list":         `[{"op":"Remove","path":"title"}]`,
		"a request":      `{"schemas":["` + PatchOpURN + `"],"Operations":[{"op":"remove","path":"title"}]}`,
		"without schema": `{"operations":[{"op":"remove","path":"title"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			data, err := decode([]byte(body))
			if err != nil {
				t.Fatal(err)
			}
			ops, err := PatchData(data)
			if err != nil || len(ops) != 1 || ops[0].Op != "remove" || ops[0].Path != "title" {
				t.Errorf("%v %v", ops, err)
			}
		})
	}
	for name, data := range map[string]any{"a text": "x", "another schema": map[string]any{"schemas": []any{"x"}}, "nothing": map[string]any{}, "an empty list": []any{}} {
		if _, err := PatchData(data); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

// FuzzBulk holds the decoder of a Bulk to encoding/json: the same operations of the same bodies, however the stream is cut,
// and each within the bounds of a body of its own.
func FuzzBulk(f *testing.F) {
	for _, body := range clients(f) {
		f.Add(body)
	}
	f.Add([]byte(bulkHead + `[[],{"method":1}],"failOnErrors":1e400}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		const limit = 5
		got, err := Bulk(bytes.NewReader(body), limit)
		pieces, piecesErr := Bulk(iotest.HalfReader(bytes.NewReader(body)), limit)
		if diff := cmp.Diff(got, pieces); diff != "" || (err == nil) != (piecesErr == nil) {
			t.Fatalf("cut in pieces: %v, %v: %s", err, piecesErr, diff)
		}
		var scim scimerrors.ScimError
		if err != nil {
			if !errors.Is(err, ErrTooManyOperations) && (!errors.As(err, &scim) || scim.Status != 400) {
				t.Fatalf("got %v, want a ScimError 400", err)
			}
			return
		}
		if !json.Valid(body) || len(got.Operations) == 0 || len(got.Operations) > limit || got.FailOnErrors < 0 {
			t.Fatalf("took %q as %+v", body, got)
		}
		for _, o := range got.Operations {
			if o.Err != nil {
				if !errors.As(o.Err, &scim) {
					t.Fatal(o.Err)
				}
				continue
			}
			for _, read := range []func(any) error{
				func(v any) error { _, err := PatchData(v); return err },
				func(v any) error { _, err := UserData(v); return err },
				func(v any) error { _, err := GroupData(v); return err },
			} {
				if err := read(o.Data); err != nil && !errors.As(err, &scim) {
					t.Fatal(err)
				}
			}
		}
	})
}
