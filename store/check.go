package store

// CheckStatus is how one step of a check has ended.
type CheckStatus string

// The statuses of a step.
const (
	CheckOK      CheckStatus = "ok"
	CheckWarning CheckStatus = "warning" // it works, and a person should know
	CheckFailed  CheckStatus = "failed"  // no run can succeed before it is mended
	CheckSkipped CheckStatus = "skipped" // it was not tried; Detail says why
)

// CheckStep is one step of a check of a live directory, in the order in which they
// were tried.
type CheckStep struct {
	Name    string // what was tried: settings, resolve, connect, tls, bind, …
	Target  string // at what: a server, a base DN; may be empty
	Status  CheckStatus
	Detail  string // what was found
	Field   string // the setting at fault
	Hint    string // how to mend it
	Seconds float64
}
