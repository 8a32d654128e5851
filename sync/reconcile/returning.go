package reconcile

// theOne finds which of the soft-deleted records with a stable id returns (rule 7). A
// push may have given one id to several records, because whether an externalId is
// unique is the client's affair (RFC 7643 section 3.1). So the record that has the name
// as well goes first, of several the one deleted last. Without the name the id has to
// say it alone: only one record was deleted with it, and no live one has it (held).
// Else it is nobody: a leaver's roles are not given on a guess.
func theOne[T any](departed []*T, held bool, stable, named func(*T) bool) *T {
	var only *T
	found := 0
	for _, r := range departed {
		if !stable(r) {
			continue
		}
		if named(r) {
			return r
		}
		only = r
		found++
	}
	if found == 1 && !held {
		return only
	}
	return nil
}

// firstOf returns the first of a list for which is holds, or nil.
func firstOf[T any](list []*T, is func(*T) bool) *T {
	for _, r := range list {
		if is(r) {
			return r
		}
	}
	return nil
}
