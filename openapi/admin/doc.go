// Package admin serves the REST interface that openapi/openapi.yaml describes, for
// administrators, programs and the provost command.
//
// The usual path of a request: the middleware of request.go checks the token, the
// role, the organization and the form of the input against the specification; a
// handler (one file a topic) turns it into a read of the store, a statement for
// the reconciler or a change of settings, and renders the result. One function
// turns every error into a problem document (RFC 9457).
//
// Users, groups and memberships are written through sync/reconcile only. Every
// other change writes its event in its own transaction. Secrets come in and never
// go out, and internal errors never reach a client.
package admin
