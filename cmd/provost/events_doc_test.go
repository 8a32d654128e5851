package main

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/store"
)

// eventDocs is what docs/events.md says of the data of events.
type eventDocs struct {
	fields map[string]map[string]string // by type: the fields of data and their forms
	whole  map[string]string            // by type: the form of data itself
	forms  map[string]map[string]bool   // the fields of each form
}

var (
	typeRow  = regexp.MustCompile("^\\| `([a-z_]+\\.[a-z_]+)` \\| \\w+ \\| ([^|]*)\\|")
	fieldRow = regexp.MustCompile("^\\| (\\w+) \\| `(\\w+)` \\|")
	fieldOf  = regexp.MustCompile("`(\\w+)`: (\\w+)")
)

// describedEvents reads the tables of the page.
func describedEvents(t *testing.T) *eventDocs {
	t.Helper()
	page, err := os.ReadFile("../../docs/events.md")
	if err != nil {
		t.Fatal(err)
	}
	d := &eventDocs{fields: map[string]map[string]string{}, whole: map[string]string{}, forms: map[string]map[string]bool{}}
	for line := range strings.Lines(string(page)) {
		if row := typeRow.FindStringSubmatch(line); row != nil {
			d.fields[row[1]] = map[string]string{}
			for _, f := range fieldOf.FindAllStringSubmatch(row[2], -1) {
				d.fields[row[1]][f[1]] = f[2]
			}
			if form := strings.TrimSpace(row[2]); !strings.Contains(form, "`") {
				d.whole[row[1]] = form
			}
		} else if row := fieldRow.FindStringSubmatch(line); row != nil {
			if d.forms[row[1]] == nil {
				d.forms[row[1]] = map[string]bool{}
			}
			d.forms[row[1]][row[2]] = true
		}
	}
	return d
}

var plainForms = []string{"text", "number", "list", "boolean"}

// check holds the data of an event against the page.
func (d *eventDocs) check(t *testing.T, e *openapi.Event) {
	t.Helper()
	fields, known := d.fields[e.Type]
	if !known {
		t.Errorf("docs/events.md does not know the type %s", e.Type)
		return
	}
	var data map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &data); err != nil {
		t.Errorf("%v in %s", err, e.Data)
		return
	}
	if len(data) == 1 && string(data["redacted"]) == "true" {
		return
	}
	if form := d.whole[e.Type]; form != "" {
		for name := range data {
			if !d.forms[form][name] {
				t.Errorf("docs/events.md does not know the field %s of %s: %s", name, e.Type, e.Data)
			}
		}
		return
	}
	for name, value := range data {
		form, known := fields[name]
		if !known {
			t.Errorf("docs/events.md does not know the field %s of %s: %s", name, e.Type, e.Data)
			continue
		}
		if slices.Contains(plainForms, form) {
			continue
		}
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(value, &inner); err != nil {
			t.Errorf("the field %s of %s is no %s: %s", name, e.Type, form, value)
		}
		for field := range inner {
			if !d.forms[form][field] {
				t.Errorf("docs/events.md does not know the field %s of the form %s: %s", field, form, value)
			}
		}
	}
}

func TestEveryTypeOfEventIsDocumented(t *testing.T) {
	t.Parallel()
	d := describedEvents(t)
	source, err := os.ReadFile("../../store/event.go")
	if err != nil {
		t.Fatal(err)
	}
	constants := map[string]bool{}
	for _, c := range regexp.MustCompile(`(?m)^\tEvent\w+\s+= "([^"]+)"`).FindAllStringSubmatch(string(source), -1) {
		constants[c[1]] = true
		if d.fields[c[1]] == nil {
			t.Errorf("docs/events.md has no row for %s", c[1])
		}
		if !slices.Contains(store.EventTypes, c[1]) {
			t.Errorf("store.EventTypes lacks %s", c[1])
		}
	}
	if len(constants) != len(store.EventTypes) || len(constants) < 40 {
		t.Errorf("there are %d constants and %d types", len(constants), len(store.EventTypes))
	}
	for typ, fields := range d.fields {
		if !constants[typ] {
			t.Errorf("docs/events.md has a row for %s, which is none", typ)
		}
		forms := []string{d.whole[typ]}
		for _, form := range fields {
			forms = append(forms, form)
		}
		for _, form := range forms {
			if form != "" && d.forms[form] == nil && !slices.Contains(plainForms, form) {
				t.Errorf("%s has data of the form %s, which is not described", typ, form)
			}
		}
	}
}
