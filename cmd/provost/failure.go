package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/provost-scim/provost/store"
)

// Exit codes of the program. Those of a sync run are 0, 2 and 3 (product page,
// "Interfaces").
const (
	exitError  = 1  // the command could not do what it was asked
	exitHeld   = 2  // the run is held until a person decides
	exitFailed = 3  // the run failed
	exitUsage  = 64 // the command line is wrong (sysexits.h, EX_USAGE)
)

// failure is an error for people, with the exit code that goes with it. A failure
// without a message only sets the code: what there is to say has been said.
type failure struct {
	code    int
	message string
	hint    string
}

func (f *failure) Error() string { return f.message }

// failed makes a failure with the exit code 1.
func failed(hint, format string, args ...any) error {
	return &failure{code: exitError, message: fmt.Sprintf(format, args...), hint: hint}
}

// misused makes a failure of the command line that the parser cannot see.
func misused(hint, format string, args ...any) error {
	return &failure{code: exitUsage, message: fmt.Sprintf(format, args...), hint: hint}
}

// report writes an error for people and returns the exit code.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return 0
	}
	code, message, hint := exitError, err.Error(), ""
	var f *failure
	var e *store.Error
	switch {
	case errors.As(err, &f):
		code, message, hint = f.code, f.message, f.hint
	case errors.As(err, &e):
		message, hint = e.Message, e.Hint
		if e.Err != nil {
			message += ": " + e.Err.Error()
		}
	case errors.Is(err, context.Canceled):
		message = "interrupted"
	}
	if message != "" {
		fmt.Fprintf(stderr, "provost: %s\n", message)
	}
	if hint != "" {
		fmt.Fprintf(stderr, "hint: %s\n", hint)
	}
	return code
}
