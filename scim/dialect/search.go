package dialect

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/elimity-com/scim/errors"
)

// SearchURN is the schema of a search by POST (RFC 7644 §3.4.3).
const SearchURN = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

// Search reads the body of a search by POST and returns what it asks for as the parameters of a query string would say
// it, so that both mean the same. Numbers may come as strings; what has no value is left out.
func Search(body []byte) (url.Values, error) {
	object, err := message(body, SearchURN)
	if err != nil {
		return nil, err
	}
	out := url.Values{}
	for name, read := range map[string]func(any) (string, bool){
		"attributes": names, "excludedAttributes": names,
		"filter": text, "sortBy": text, "sortOrder": text, "cursor": text,
		"startIndex": whole, "count": whole,
	} {
		value := lookup(object, name)
		if value == nil {
			continue
		}
		said, ok := read(value)
		if !ok {
			return nil, fail(errors.ScimTypeInvalidValue, "%s of the search has a value of the wrong type", name)
		}
		out.Set(name, said)
	}
	return out, nil
}

// names is a list of attribute names; some clients send one string, as in a query string.
func names(value any) (string, bool) {
	if said, ok := value.(string); ok {
		return said, true
	}
	list, ok := value.([]any)
	if !ok {
		return "", false
	}
	all := make([]string, len(list))
	for i, item := range list {
		if all[i], ok = item.(string); !ok || strings.Contains(all[i], ",") {
			return "", false
		}
	}
	return strings.Join(all, ","), true
}

func text(value any) (string, bool) {
	said, ok := value.(string)
	return said, ok
}

func whole(value any) (string, bool) {
	switch v := value.(type) {
	case json.Number:
		return v.String(), true
	case string:
		return v, true
	}
	return "", false
}
