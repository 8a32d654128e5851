package gormstore

// many is from how many references on the lists of a transaction are long.
const many = 500

// planForMany makes PostgreSQL plan the statements of a transaction for the lists that
// they are given. The plan that it would keep for all lists takes them for short, and
// looks through the whole list for each row.
func (l *loader) planForMany() []ask {
	refs := 0
	for i := range l.s.Groups {
		refs += len(l.s.Groups[i].Refs)
	}
	if refs < many || !l.e.postgres {
		return nil
	}
	return []ask{{what: "plan for long lists", query: "SELECT set_config('plan_cache_mode', 'force_custom_plan', true)"}}
}

// few is up to how many records of a scope one plan of each statement does for all
// transactions.
const few = 300

// keepPlans is for the rest of a transaction on PostgreSQL.
const keepPlans = "SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true)"

// planOnce makes PostgreSQL keep the plans of a transaction that names few records. For
// such lists a new plan looks cheaper to it than the one it keeps, which is for lists of
// ten, so that it would plan each statement again: that took longer than to run it.
func (l *loader) planOnce() []ask {
	if !l.e.postgres || l.s.Unlocked || l.concernsGroups() || max(len(l.s.Users), len(l.s.UserKeys), len(l.s.External)) > few {
		return nil
	}
	return []ask{{what: "plan once", query: keepPlans}}
}
