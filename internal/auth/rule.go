package auth

import "github.com/provost-scim/provost/store"

// Rule is who may call an operation, as its specification says.
type Rule string

// The rules, each of which includes those after it.
const (
	RuleInstance Rule = "instance" // an owner of the whole instance
	RuleOwner    Rule = "owner"    // an owner
	RuleAdmin    Rule = "admin"    // an owner or an admin
	RuleAuditor  Rule = "auditor"  // any administrator
)

// needs is the least role of each rule.
var needs = map[Rule]store.TokenRole{
	RuleInstance: store.RoleOwner, RuleOwner: store.RoleOwner, RuleAdmin: store.RoleAdmin, RuleAuditor: store.RoleAuditor,
}

// Known reports whether it is one of the rules. Nobody satisfies another.
func (r Rule) Known() bool { return needs[r] != "" }

// May holds the principal against a rule. The error says which role it takes; it is
// [store.CodeForbidden].
func (p *Principal) May(r Rule) error {
	least, known := needs[r]
	forbidden := func(message, hint string) error {
		return &store.Error{Code: store.CodeForbidden, Message: message, Hint: hint}
	}
	switch {
	case !known:
		return forbidden("nobody may do this: it has no rule", "")
	case rank[p.Role] < rank[store.RoleAuditor]:
		return forbidden("this is for administrators", "")
	case rank[p.Role] < rank[least] && least == store.RoleAdmin:
		return forbidden("an auditor only reads", "use the token of an admin or owner")
	case rank[p.Role] < rank[least]:
		return forbidden("this needs an owner's token; "+p.Name+" has the role "+string(p.Role), "")
	case r == RuleInstance && p.Org != 0:
		return forbidden("this needs an owner's token of the whole instance", "")
	}
	return nil
}
