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
// It differs from the RFC's listing where this server is more exact: ids are compared as they are, and groups are Groups.
func User() elimity.Schema {
	return amended(elimity.CoreUserSchema(), complexOf("groups", true, elimity.AttributeMutabilityReadOnly(),
		"A list of groups to which the user belongs, either through direct membership or through nested groups.",
		identifier("The identifier of the User's group.", elimity.AttributeMutabilityReadOnly()),
		reference("The URI of the corresponding 'Group' resource to which the user belongs.", elimity.AttributeMutabilityReadOnly(), "Group"),
		text("display", "The group's displayName.", elimity.AttributeMutabilityReadOnly()),
		text("type", "Whether the user is a member of the group itself or of a group below it.", elimity.AttributeMutabilityReadOnly(), "direct", "indirect"),
	))
}

// EnterpriseUser is the enterprise extension of a User (RFC 7643 §4.3). The manager's id is compared as it is.
func EnterpriseUser() elimity.Schema {
	return amended(elimity.ExtensionEnterpriseUser(), complexOf("manager", false, elimity.AttributeMutabilityReadWrite(),
		"The User's manager, who may be created later.",
		identifier("The id of the SCIM resource representing the User's manager.", elimity.AttributeMutabilityReadWrite()),
		reference("The URI of the SCIM resource representing the User's manager. It names the manager where value is absent.",
			elimity.AttributeMutabilityReadWrite(), "User"),
		text("displayName", "The displayName of the User's manager, if the directory told it otherwise than by SCIM.", elimity.AttributeMutabilityReadOnly()),
	))
}

// Group is the core Group schema (RFC 7643 §4.2). It differs from the RFC's listing where this server promises more:
// displayName is required and unique (rule 2), and what a member is called is the member's own affair.
func Group() elimity.Schema {
	immutable := elimity.AttributeMutabilityImmutable()
	return amended(elimity.CoreGroupSchema(),
		elimity.SimpleCoreAttribute(elimity.SimpleStringParams(elimity.StringParams{
			Name:        "displayName",
			Description: optional.NewString("A human-readable name for the Group. REQUIRED."),
			Required:    true,
			Uniqueness:  elimity.AttributeUniquenessServer(),
		})),
		complexOf("members", true, elimity.AttributeMutabilityReadWrite(), "A list of members of the Group.",
			identifier("Identifier of the member of this Group.", immutable),
			reference("The URI corresponding to a SCIM resource that is a member of this Group.", immutable, "User", "Group"),
			text("type", "A label indicating the type of resource, e.g., 'User' or 'Group'.", immutable, "User", "Group"),
			text("display", "The member's displayName, or its userName.", elimity.AttributeMutabilityReadOnly()),
		))
}

// amended puts attributes in the place of those of the same name.
func amended(of elimity.Schema, by ...elimity.CoreAttribute) elimity.Schema {
	for i := range of.Attributes {
		for _, a := range by {
			if of.Attributes[i].Name() == a.Name() {
				of.Attributes[i] = a
			}
		}
	}
	return of
}

func complexOf(name string, multi bool, m elimity.AttributeMutability, description string, parts ...elimity.SimpleParams) elimity.CoreAttribute {
	return elimity.ComplexCoreAttribute(elimity.ComplexParams{
		Name: name, MultiValued: multi, Mutability: m, Description: optional.NewString(description), SubAttributes: parts,
	})
}

func identifier(description string, m elimity.AttributeMutability) elimity.SimpleParams {
	return elimity.SimpleStringParams(elimity.StringParams{
		Name: "value", CaseExact: true, Mutability: m, Description: optional.NewString(description),
	})
}

func reference(description string, m elimity.AttributeMutability, types ...elimity.AttributeReferenceType) elimity.SimpleParams {
	return elimity.SimpleReferenceParams(elimity.ReferenceParams{
		Name: "$ref", Mutability: m, Description: optional.NewString(description), ReferenceTypes: types,
	})
}

func text(name, description string, m elimity.AttributeMutability, values ...string) elimity.SimpleParams {
	return elimity.SimpleStringParams(elimity.StringParams{
		Name: name, Mutability: m, Description: optional.NewString(description), CanonicalValues: values,
	})
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
				CaseExact:   true,
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
