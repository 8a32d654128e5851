package gormstore

import "github.com/provost-scim/provost/store"

// pendingReader and pendingWriter let the package compile until every method is
// written; a method of *reader or *tx hides the one below it.
type (
	pendingReader struct {
		store.RecordReader
		store.RunReader
		store.LogReader
	}
	pendingWriter struct {
		store.RecordWriter
		store.RunWriter
		store.LogWriter
	}
)
