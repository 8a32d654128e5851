package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/provost-scim/provost/openapi"
)

// signs are those of a difference, by what would become of a record.
var signs = map[openapi.Outcome]string{
	openapi.OutcomeCreated:     "+",
	openapi.OutcomeModified:    "~",
	openapi.OutcomeRestored:    "~",
	openapi.OutcomeClaimed:     "~",
	openapi.OutcomeDeleted:     "-",
	openapi.OutcomeDeactivated: "-",
	openapi.OutcomeOutOfScope:  "-",
	openapi.OutcomeRefused:     "!",
	openapi.OutcomeDuplicated:  "!",
}

// writeDifference prints a line for each record: a sign, what it is, its name, what
// would become of it, and why or which entry it is. Below are the fields that would
// change, and how many members a group would gain and lose.
func writeDifference(w io.Writer, items []openapi.RunItem) error {
	names, outcomes := 0, 0
	name := func(item *openapi.RunItem) string {
		return cut(plain(cmp.Or(item.Name, item.ExternalID, item.ID)), showWidth)
	}
	for i := range items {
		names = max(names, utf8.RuneCountInString(name(&items[i])))
		outcomes = max(outcomes, utf8.RuneCountInString(string(items[i].Outcome)))
	}
	var b strings.Builder
	b.WriteByte('\n')
	for i := range items {
		item := &items[i]
		line := fmt.Sprintf("%s %-5s  %-*s  %-*s  %s", cmp.Or(signs[item.Outcome], "?"), item.Type, names, name(item),
			outcomes, strings.ReplaceAll(string(item.Outcome), "_", " "), plain(cmp.Or(item.Reason, item.DN)))
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for n, c := range item.Changes {
			if n == showNames {
				fmt.Fprintf(&b, "      … and %d more fields\n", len(item.Changes)-n)
				break
			}
			fmt.Fprintf(&b, "      %s: %s → %s\n", plain(c.Field), fieldValue(c.Before), fieldValue(c.After))
		}
		if text := membersOf(item); text != "" {
			b.WriteString("      " + text + "\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fieldValue is a value of a field, on one line and not too long.
func fieldValue(value json.RawMessage) string {
	var text string
	var short bytes.Buffer
	switch {
	case len(value) == 0 || string(value) == "null":
		return "none"
	case json.Unmarshal(value, &text) == nil && text != "":
		return cut(plain(text), showWidth)
	case json.Compact(&short, value) == nil:
		return cut(plain(short.String()), showWidth)
	}
	return cut(plain(string(value)), showWidth)
}

// membersOf says how many members a group would gain and lose.
func membersOf(item *openapi.RunItem) string {
	var said []string
	if n := item.MembersAdded; n > 0 {
		said = append(said, fmt.Sprintf("+%d", n))
	}
	if n := item.MembersRemoved; n > 0 {
		said = append(said, fmt.Sprintf("-%d", n))
	}
	if len(said) == 0 {
		return ""
	}
	return "members: " + strings.Join(said, ", ")
}

// runMembers reads which members groups would gain and lose.
func runMembers(s *session, api *openapi.ClientWithResponses, run string, each func(*openapi.RunMember) error) error {
	return pages(0, func(cursor *string, size int) ([]openapi.RunMember, string, error) {
		page, err := answer((*openapi.ListRunMembersResponse).GetJSON200)(
			api.ListRunMembersWithResponse(s.ctx, run, &openapi.ListRunMembersParams{Cursor: cursor, Limit: &size}))
		if err != nil {
			return nil, "", err
		}
		return page.Items, page.NextCursor, nil
	}, each)
}

// showMembers prints who would join and leave which group, below the name of each.
func showMembers(s *session, api *openapi.ClientWithResponses, run string) error {
	var of openapi.RecordName
	return runMembers(s, api, run, func(m *openapi.RunMember) error {
		if m.Group != of {
			of = m.Group
			if _, err := fmt.Fprintf(s.stdout, "\nmembers of %s\n", plain(cmp.Or(of.Name, of.ExternalID, of.ID))); err != nil {
				return err
			}
		}
		sign := "+"
		if m.Change == openapi.RunMemberChangeRemoved {
			sign = "-"
		}
		_, err := fmt.Fprintf(s.stdout, "%s %-5s  %s\n", sign, m.Member.Type, plain(cmp.Or(m.Member.Name, m.Member.ExternalID, m.Member.ID)))
		return err
	})
}
