package ldap

// Requests counts what was asked of the server on the connection that is followed.
func (f *Following) Requests() int64 { return f.c.id }
