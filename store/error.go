package store

import (
	"errors"
	"fmt"
	"time"
)

// Code says what kind of refusal an [Error] is. Each interface renders it in its
// own way: a SCIM error, a problem document, a page.
type Code string

// The codes, and how HTTP shows them.
const (
	CodeInvalid      Code = "invalid_value"  // 400: a value is malformed or breaks a rule
	CodeFilter       Code = "invalid_filter" // 400: a filter cannot be used
	CodeMutability   Code = "mutability"     // 400: the attribute cannot be changed
	CodeUnauthorized Code = "unauthorized"   // 401
	CodeForbidden    Code = "forbidden"      // 403
	CodeNotFound     Code = "not_found"      // 404
	CodeConflict     Code = "conflict"       // 409: the state of things forbids it
	CodeUniqueness   Code = "uniqueness"     // 409: another record has that name
	CodeOwned        Code = "owned"          // 409: a directory owns the record (rule 1)
	CodeStale        Code = "stale"          // 409: what it was decided on has changed
	CodePrecondition Code = "precondition"   // 412: the version asked for is not the present one
	CodeGone         Code = "gone"           // 410: an expired cursor
	CodeTooLarge     Code = "too_large"      // 413
	CodeTooMany      Code = "too_many"       // 429: slow down
	CodeBusy         Code = "busy"           // 503: try again shortly
	CodeInternal     Code = "internal"       // 500: the cause is logged, never shown
)

// Error is the one error type that crosses packages. Message is for people: it
// begins in lower case and names the field or record; Hint says what to do.
type Error struct {
	Code     Code
	Message  string
	Field    string // the input field at fault, if one is
	Hint     string // what to do about it, if that is not plain
	Resource string // the record at fault, as "User ID" or "directory NAME"
	Rule     string // the reconciler's rule that refused, as in [Finding]
	Err      error  // the cause, for logs only

	RetryAfter time.Duration // of CodeTooMany and CodeBusy, when to try again; 0: in a second
}

func (e *Error) Error() string {
	s := e.Message
	if e.Hint != "" {
		s += " (hint: " + e.Hint + ")"
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// RetrySeconds is what the header Retry-After says of an error (RFC 9110 section
// 10.2.3): whole seconds, at least one.
func RetrySeconds(err error) int {
	var e *Error
	if !errors.As(err, &e) {
		return 1
	}
	return max(1, int((e.RetryAfter+time.Second-1)/time.Second))
}

// Errorf makes an [Error] with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns the code of the first [Error] in err's chain, [CodeInternal] for
// any other error, and "" for nil.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}
