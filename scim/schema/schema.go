// Package schema is Provost's SCIM model: the schemas of RFC 7643 (User, Group, EnterpriseUser) and Provost's own
// Group extension, their attributes with all characteristics, and the one place where names are compared without case.
//
// The usual path: take [Users] or [Groups], call [ResourceType.Resolve] (or Lookup, for a parsed path) to turn
// what a client wrote into a canonical [Path], and [Attribute.Normalize] to turn a client's JSON value into the canonical one.
// The documents that /Schemas serves are [User], [Group], [EnterpriseUser] and [ProvostGroup].
//
// It never does I/O, knows no store, and never looks at a whole resource: that is the work of scim/dialect and scim/patch.
package schema

import (
	"github.com/elimity-com/scim/optional"
	elimity "github.com/elimity-com/scim/schema"
)

// URNs of the schemas (RFC 7643 §10.3) and of Provost's Group extension.
const (
	UserURN           = elimity.UserSchema
	GroupURN          = elimity.GroupSchema
	EnterpriseUserURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	ProvostGroupURN   = "urn:provost:params:scim:schemas:extension:1.0:Group"
)

// User is the core User schema (RFC 7643 §4.1). Its address has a "primary", as the RFC's own example of a full user has.
func User() elimity.Schema { return elimity.CoreUserSchema() }

// EnterpriseUser is the enterprise extension of a User (RFC 7643 §4.3).
func EnterpriseUser() elimity.Schema { return elimity.ExtensionEnterpriseUser() }

// Group is the core Group schema (RFC 7643 §4.2). It differs from the RFC's listing where this server promises more:
// displayName is required and unique within a directory (rule 2).
func Group() elimity.Schema {
	group := elimity.CoreGroupSchema()
	for i, attribute := range group.Attributes {
		if attribute.Name() == "displayName" {
			group.Attributes[i] = elimity.SimpleCoreAttribute(elimity.SimpleStringParams(elimity.StringParams{
				Name:        "displayName",
				Description: optional.NewString(attribute.Description()),
				Required:    true,
				Uniqueness:  elimity.AttributeUniquenessServer(),
			}))
		}
	}
	return group
}

// ProvostGroup is Provost's extension of a Group: a description, and the figures of the cap (rule 5).
func ProvostGroup() elimity.Schema {
	return elimity.Schema{
		ID:          ProvostGroupURN,
		Name:        optional.NewString("Provost Group"),
		Description: optional.NewString("Provost's additions to a Group"),
		Attributes: elimity.Attributes{
			elimity.SimpleCoreAttribute(elimity.SimpleStringParams(elimity.StringParams{
				Name:        "description",
				Description: optional.NewString("What the Group is for, in a sentence or two."),
			})),
			elimity.SimpleCoreAttribute(elimity.SimpleNumberParams(elimity.NumberParams{
				Name:        "effectiveCount",
				Description: optional.NewString("How many Users are in the Group or in any Group below it."),
				Type:        elimity.AttributeTypeInteger(),
				Mutability:  elimity.AttributeMutabilityReadOnly(),
			})),
			elimity.SimpleCoreAttribute(elimity.SimpleBooleanParams(elimity.BooleanParams{
				Name:        "overCap",
				Description: optional.NewString("Whether effectiveCount exceeds the number of Users the server publishes for one Group."),
				Mutability:  elimity.AttributeMutabilityReadOnly(),
			})),
		},
	}
}
