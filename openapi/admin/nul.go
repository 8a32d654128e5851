package admin

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// storable reports whether a database can hold the text.
func storable(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

// escapesNUL reports whether valid JSON has \u0000 in a string.
func escapesNUL(body []byte) bool {
	for i := 0; i+5 < len(body); i++ {
		if body[i] != '\\' {
			continue
		}
		if string(body[i+1:i+6]) == "u0000" {
			return true
		}
		i++ // whatever is escaped is no backslash of ours
	}
	return false
}

// fieldWithNUL is the path to the first text of a JSON body that has a NUL character;
// of a name that has one, the path to its object.
func fieldWithNUL(body []byte) string {
	var v any
	if json.Unmarshal(body, &v) != nil {
		return ""
	}
	path, _ := pathToNUL(v, nil)
	return strings.Join(path, ".")
}

func pathToNUL(v any, at []string) ([]string, bool) {
	switch v := v.(type) {
	case string:
		return at, strings.IndexByte(v, 0) >= 0
	case []any:
		for i, element := range v {
			if path, found := pathToNUL(element, append(at, strconv.Itoa(i))); found {
				return path, true
			}
		}
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if strings.IndexByte(name, 0) >= 0 {
				return at, true
			}
			if path, found := pathToNUL(v[name], append(at, name)); found {
				return path, true
			}
		}
	}
	return nil, false
}
