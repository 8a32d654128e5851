package scim

import (
	"net/http"
	"strings"

	elimity "github.com/elimity-com/scim/schema"

	"github.com/provost-scim/provost/scim/schema"
	"github.com/provost-scim/provost/store"
)

// documentation is where a person reads what is served and which choices were made.
const documentation = "https://github.com/provost-scim/provost/blob/main/docs/scim.md"

// serviceProviderConfig is RFC 7643 section 5: what this server can do, and no more.
func (s *Server) serviceProviderConfig(c *call) error {
	if err := c.noFilter(); err != nil {
		return err
	}
	return respond(c, http.StatusOK, map[string]any{
		"schemas":          []string{schema.ServiceProviderConfigURN},
		"documentationUri": documentation,
		"patch":            map[string]any{"supported": true},
		"bulk":             map[string]any{"supported": true, "maxOperations": MaxOperations, "maxPayloadSize": MaxBody},
		"filter":           map[string]any{"supported": true, "maxResults": MaxResults},
		"sort":             map[string]any{"supported": true},
		"changePassword":   map[string]any{"supported": false},
		"etag":             map[string]any{"supported": true},
		// RFC 9865 section 4.
		"pagination": map[string]any{
			"cursor": true, "index": true, "defaultPaginationMethod": "index",
			"defaultPageSize": defaultCount, "maxPageSize": MaxResults, "cursorTimeout": int(cursorTimeout.Seconds()),
		},
		"authenticationSchemes": []any{
			map[string]any{
				"type": "oauthbearertoken", "name": "Bearer token", "primary": true,
				"description": "a token of the directory, in the Authorization header",
				"specUri":     "https://www.rfc-editor.org/rfc/rfc6750", "documentationUri": documentation,
			},
			map[string]any{
				"type": "oauthbearertoken", "name": "OpenID Connect token",
				"description": "a JWT of an OpenID Connect issuer that is bound to the directory, in the Authorization header",
				"specUri":     "https://www.rfc-editor.org/rfc/rfc9068", "documentationUri": documentation,
			},
		},
		"meta": c.discoveryMeta("ServiceProviderConfig", "/ServiceProviderConfig"),
	})
}

func (c *call) discoveryMeta(kind, path string) map[string]any {
	return map[string]any{"resourceType": kind, "location": c.base + path}
}

// noFilter refuses a filter on discovery (RFC 7644 section 4).
func (c *call) noFilter() error {
	if c.param("filter") != "" {
		return store.Errorf(store.CodeForbidden, "discovery takes no filter")
	}
	return nil
}

// resourceTypes is GET /ResourceTypes (RFC 7643 section 6).
func (s *Server) resourceTypes(c *call) error {
	if err := c.noFilter(); err != nil {
		return err
	}
	return c.discoveryList(c.resourceTypeDocument(schema.Users), c.resourceTypeDocument(schema.Groups))
}

func (s *Server) resourceType(c *call) error {
	if err := c.noFilter(); err != nil {
		return err
	}
	for _, t := range []*schema.ResourceType{schema.Users, schema.Groups} {
		if strings.EqualFold(t.Name, c.name()) {
			return respond(c, http.StatusOK, c.resourceTypeDocument(t))
		}
	}
	return store.Errorf(store.CodeNotFound, "there is no such resource type")
}

func (c *call) resourceTypeDocument(t *schema.ResourceType) any {
	var extensions []any
	for _, urn := range t.Extensions {
		extensions = append(extensions, map[string]any{"schema": urn, "required": false})
	}
	return map[string]any{
		"schemas": []string{schema.ResourceTypeURN},
		"id":      t.Name, "name": t.Name, "description": t.Description, "endpoint": t.Endpoint, "schema": t.Core, "schemaExtensions": extensions,
		"meta": c.discoveryMeta("ResourceType", "/ResourceTypes/"+t.Name),
	}
}

// schemas is GET /Schemas (RFC 7643 section 7).
func (s *Server) schemas(c *call) error {
	if err := c.noFilter(); err != nil {
		return err
	}
	var documents []any
	for _, d := range served() {
		documents = append(documents, c.schemaDocument(d))
	}
	return c.discoveryList(documents...)
}

func (s *Server) schema(c *call) error {
	if err := c.noFilter(); err != nil {
		return err
	}
	for _, d := range served() {
		if strings.EqualFold(d.ID, c.name()) {
			return respond(c, http.StatusOK, c.schemaDocument(d))
		}
	}
	return store.Errorf(store.CodeNotFound, "there is no such schema")
}

// served are the schemas of all that is answered but messages: of the resources first,
// then of discovery itself (RFC 7643 section 8.7.2).
func served() []elimity.Schema {
	return []elimity.Schema{
		schema.User(), schema.EnterpriseUser(), schema.Group(), schema.ProvostGroup(),
		schema.ServiceProviderConfig(), schema.ResourceTypeSchema(), schema.Schema(),
	}
}

func (c *call) schemaDocument(d elimity.Schema) any {
	m := d.ToMap()
	m["schemas"] = []string{schema.SchemaURN}
	m["meta"] = c.discoveryMeta("Schema", "/Schemas/"+d.ID)
	return m
}

func (c *call) discoveryList(items ...any) error {
	return respond(c, http.StatusOK, listResponse{
		Schemas: []string{listSchema}, TotalResults: len(items), StartIndex: 1, ItemsPerPage: len(items), Resources: items,
	})
}
