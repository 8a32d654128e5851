package dialect

import (
	"bufio"
	"bytes"
	"encoding/json"
	stderrors "errors"
	"io"
	"strconv"
	"strings"

	"github.com/elimity-com/scim/errors"
)

// BulkRequestURN is the schema of a Bulk request (RFC 7644 §3.7).
const BulkRequestURN = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"

// ErrTooManyOperations means that a Bulk has more operations than were allowed.
var ErrTooManyOperations = stderrors.New("too many operations")

// BulkRequest is the body of a Bulk.
type BulkRequest struct {
	FailOnErrors int // stop at so many errors; 0: never
	Operations   []BulkOperation
}

// BulkOperation is one operation of a Bulk. Its fields are what the client wrote: who carries it out judges them.
type BulkOperation struct {
	Method  string // in upper case
	BulkID  string
	Version string
	Path    string
	Data    any   // decoded JSON, for [UserData], [GroupData] or [PatchData]; nil if there was none
	Err     error // why it cannot be read, an errors.ScimError; the others can
}

// Bulk reads the body of a Bulk from a stream, of which never more than one operation is held undecoded. It stops with
// [ErrTooManyOperations] at the first operation beyond limit. Errors of the stream itself are returned as they are.
func Bulk(body io.Reader, limit int) (BulkRequest, error) {
	var request BulkRequest
	schemas, listed := any(nil), false
	buffered := bufio.NewReader(body)
	if begin, _ := buffered.Peek(len(byteOrderMark)); bytes.Equal(begin, byteOrderMark) {
		_, _ = buffered.Discard(len(byteOrderMark)) // it has been read
	}
	d := json.NewDecoder(buffered)
	d.UseNumber()
	exact := map[string]bool{}
	// is reports whether what goes by name is to be taken for a member: not after it was there in its canonical spelling.
	is := func(name, member string) bool {
		if !strings.EqualFold(name, member) || name != member && exact[member] {
			return false
		}
		exact[member] = name == member
		return true
	}
	err := eachMember(d, func(name string) error {
		switch {
		case is(name, "Operations"):
			listed, request.Operations = true, nil
			return eachElement(d, func(raw json.RawMessage) error {
				if len(request.Operations) == limit {
					return ErrTooManyOperations
				}
				request.Operations = append(request.Operations, bulkOperation(raw))
				return nil
			})
		case is(name, "schemas"):
			return d.Decode(&schemas)
		case is(name, "failOnErrors"):
			var n any
			if err := d.Decode(&n); err != nil {
				return err
			}
			var ok bool
			if request.FailOnErrors, ok = count(n); !ok {
				return fail(errors.ScimTypeInvalidValue, "failOnErrors must be a whole number, not below 0")
			}
			return nil
		}
		var ignored json.RawMessage
		return d.Decode(&ignored)
	})
	var known errors.ScimError
	switch {
	case stderrors.As(err, &known), stderrors.Is(err, ErrTooManyOperations):
		return BulkRequest{}, err
	case err != nil:
		return BulkRequest{}, broken(err)
	case !hasSchema(schemas, BulkRequestURN):
		return BulkRequest{}, fail(errors.ScimTypeInvalidSyntax, "schemas must be a list with %s", BulkRequestURN)
	case !listed || len(request.Operations) == 0:
		return BulkRequest{}, fail(errors.ScimTypeInvalidSyntax, "Operations must be a list of one operation or more")
	}
	return request, nil
}

// broken tells what is no JSON from a stream that failed.
func broken(err error) error {
	var syntax *json.SyntaxError
	var typed *json.UnmarshalTypeError
	if stderrors.As(err, &syntax) || stderrors.As(err, &typed) || stderrors.Is(err, io.EOF) || stderrors.Is(err, io.ErrUnexpectedEOF) {
		return fail(errors.ScimTypeInvalidSyntax, "the body is not a JSON object: %v", err)
	}
	return err
}

// eachMember reads an object and the end of the body after it, and calls do at the value of each of its members.
func eachMember(d *json.Decoder, do func(name string) error) error {
	if err := expect(d, json.Delim('{'), "the body must be a JSON object"); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		if err := do(name.(string)); err != nil {
			return err
		}
	}
	if _, err := d.Token(); err != nil {
		return err
	}
	switch _, err := d.Token(); {
	case err == nil:
		return fail(errors.ScimTypeInvalidSyntax, "the body is not JSON: something follows its end")
	case !stderrors.Is(err, io.EOF):
		return err
	}
	return nil
}

func eachElement(d *json.Decoder, do func(json.RawMessage) error) error {
	if err := expect(d, json.Delim('['), "Operations must be a list"); err != nil {
		return err
	}
	for d.More() {
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return err
		}
		if err := do(raw); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

func expect(d *json.Decoder, want json.Delim, otherwise string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if token != want {
		return fail(errors.ScimTypeInvalidSyntax, "%s", otherwise)
	}
	return nil
}

func count(value any) (int, bool) {
	number, ok := value.(json.Number)
	if !ok {
		return 0, value == nil
	}
	n, err := strconv.Atoi(number.String())
	return n, err == nil && n >= 0
}

// bulkOperation decodes one operation within the bounds of a body of its own.
func bulkOperation(raw []byte) (o BulkOperation) {
	value, err := decode(raw)
	if err != nil {
		return BulkOperation{Err: err}
	}
	object, ok := value.(map[string]any)
	if !ok {
		return BulkOperation{Err: fail(errors.ScimTypeInvalidSyntax, "each of Operations must be an object")}
	}
	for _, field := range []struct {
		name string
		to   *string
	}{{"method", &o.Method}, {"bulkId", &o.BulkID}, {"version", &o.Version}, {"path", &o.Path}} {
		given := lookup(object, field.name)
		text, ok := given.(string)
		if !ok && given != nil && o.Err == nil {
			o.Err = fail(errors.ScimTypeInvalidSyntax, "%s must be a string", field.name)
		}
		*field.to = text
	}
	o.Method, o.Data = strings.ToUpper(o.Method), lookup(object, "data")
	return o
}
