package schema

import (
	"github.com/elimity-com/scim/optional"
	elimity "github.com/elimity-com/scim/schema"
)

// URNs of the schemas of the discovery documents (RFC 7643 §10.3).
const (
	ServiceProviderConfigURN = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
	ResourceTypeURN          = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
	SchemaURN                = "urn:ietf:params:scim:schemas:core:2.0:Schema"
)

// ServiceProviderConfig is the schema of the configuration (RFC 7643 §8.7.2), with its numbers as the integers they are,
// the primary of an authentication scheme, and the pagination of RFC 9865 §4.
func ServiceProviderConfig() elimity.Schema {
	ro := elimity.AttributeMutabilityReadOnly()
	s := amended(elimity.ServiceProviderConfigSchema(),
		elimity.SimpleCoreAttribute(link("documentationUri", "An HTTP-addressable URL pointing to the service provider's human-consumable help documentation.")),
		required(complexOf("bulk", false, ro, "A complex type that specifies bulk configuration options.",
			truth("supported", "Whether or not the operation is supported.", true),
			integer("maxOperations", "The maximum number of operations.", true),
			integer("maxPayloadSize", "The maximum payload size in bytes.", true))),
		required(complexOf("filter", false, ro, "A complex type that specifies FILTER options.",
			truth("supported", "Whether or not the operation is supported.", true),
			integer("maxResults", "The maximum number of resources returned in a response.", true))),
		required(complexOf("authenticationSchemes", true, ro, "A multi-valued complex type that specifies supported authentication scheme properties.",
			word("type", "The authentication scheme.", "oauth", "oauth2", "oauthbearertoken", "httpbasic", "httpdigest"),
			word("name", "The common authentication scheme name, e.g., HTTP Basic."),
			word("description", "A description of the authentication scheme."),
			link("specUri", "An HTTP-addressable URL pointing to the authentication scheme's specification."),
			link("documentationUri", "An HTTP-addressable URL pointing to the authentication scheme's usage documentation."),
			truth("primary", "Whether it is the preferred authentication scheme.", false))))
	s.Attributes = append(s.Attributes, complexOf("pagination", false, ro, "A complex type that indicates pagination configuration options.",
		truth("cursor", "Whether cursor-based pagination is supported.", true),
		truth("index", "Whether index-based pagination is supported.", true),
		text("defaultPaginationMethod", "The method of a request that names none.", ro, "cursor", "index"),
		integer("defaultPageSize", "The number of results of a page where the client names none.", false),
		integer("maxPageSize", "The most results of a page.", false),
		integer("cursorTimeout", "The minimum number of seconds for which a cursor can be used.", false)))
	return s
}

// ResourceTypeSchema is the schema of a resource type (RFC 7643 §8.7.2).
func ResourceTypeSchema() elimity.Schema {
	return amended(elimity.ResourceTypeSchema(),
		elimity.SimpleCoreAttribute(word("name", "The resource type name.")),
		required(elimity.SimpleCoreAttribute(link("endpoint", "The resource type's HTTP-addressable endpoint relative to the Base URL."))),
		required(elimity.SimpleCoreAttribute(link("schema", "The resource type's primary/base schema URI."))),
		complexOf("schemaExtensions", true, elimity.AttributeMutabilityReadOnly(), "A list of URIs of the resource type's schema extensions.",
			link("schema", "The URI of a schema extension."),
			truth("required", "Whether or not the schema extension is required for the resource type.", true)))
}

// Schema is the schema of schemas (RFC 7643 §8.7.2).
func Schema() elimity.Schema {
	s := elimity.Definition()
	s.Description = optional.NewString("Specifies the schema that describes a SCIM schema")
	return s
}

func required(a elimity.CoreAttribute) elimity.CoreAttribute { return a.WithRequired(true) }

// word is a text that is always there.
func word(name, description string, values ...string) elimity.SimpleParams {
	return elimity.SimpleStringParams(elimity.StringParams{
		Name: name, Required: true, Mutability: elimity.AttributeMutabilityReadOnly(), Description: optional.NewString(description), CanonicalValues: values,
	})
}

func link(name, description string) elimity.SimpleParams {
	return elimity.SimpleReferenceParams(elimity.ReferenceParams{
		Name: name, Mutability: elimity.AttributeMutabilityReadOnly(), Description: optional.NewString(description),
		ReferenceTypes: []elimity.AttributeReferenceType{elimity.AttributeReferenceTypeExternal},
	})
}

func truth(name, description string, needed bool) elimity.SimpleParams {
	return elimity.SimpleBooleanParams(elimity.BooleanParams{
		Name: name, Required: needed, Mutability: elimity.AttributeMutabilityReadOnly(), Description: optional.NewString(description),
	})
}

func integer(name, description string, needed bool) elimity.SimpleParams {
	return elimity.SimpleNumberParams(elimity.NumberParams{
		Name: name, Required: needed, Type: elimity.AttributeTypeInteger(), Mutability: elimity.AttributeMutabilityReadOnly(), Description: optional.NewString(description),
	})
}
