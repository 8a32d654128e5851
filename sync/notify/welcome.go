package notify

import (
	"fmt"
	"strings"
	"text/template"
	"text/template/parse"
	"unicode"
	"unicode/utf8"

	"github.com/provost-scim/provost/store"
)

// The templates of an organization that has none of its own.
const (
	defaultSubject = "Welcome to {{.Organization}}"
	defaultText    = `Hello {{.Name}},

your account at {{.Organization}} is ready. Your user name is {{.UserName}}.
{{if .SignInURL}}
Sign in at {{.SignInURL}}
{{end}}`
)

// Bounds of templates and of what they make, in bytes; a subject in characters.
const (
	maxSubject      = 200
	maxText         = 10_000
	maxMade         = 100_000
	maxValue        = 1_000 // of one field
	maxSubjectMade  = 250
	maxTemplateDeep = 5
)

// Welcome is what a template of the welcome mail may use.
type Welcome struct {
	Name         string // the user's display name, or what is known of the name, or the userName
	UserName     string
	Organization string // its name
	SignInURL    string // the organization's setting; may be empty
}

var welcomeFields = map[string]bool{"Name": true, "UserName": true, "Organization": true, "SignInURL": true}

// CheckWelcome refuses templates that could not be used, as [store.CodeInvalid] with
// the setting as its field; empty ones stand for the default. A template may use the
// fields of [Welcome] and if, else and end, and nothing that could make more of them:
// no loops, functions or definitions.
func CheckWelcome(subject, text string) error {
	for _, t := range []struct {
		field, source string
		most          int
	}{{"welcome_subject", subject, maxSubject}, {"welcome_text", text, maxText}} {
		if err := checkTemplate(t.source, t.most); err != nil {
			return &store.Error{
				Code: store.CodeInvalid, Field: "settings." + t.field, Message: fmt.Sprintf("settings.%s: %v", t.field, err),
				Hint: "a template may use {{.Name}}, {{.UserName}}, {{.Organization}} and {{.SignInURL}}, and {{if .SignInURL}}…{{else}}…{{end}}",
			}
		}
	}
	if strings.ContainsFunc(subject, unicode.IsControl) {
		return &store.Error{Code: store.CodeInvalid, Field: "settings.welcome_subject", Message: "settings.welcome_subject must be one line"}
	}
	return nil
}

func checkTemplate(source string, most int) error {
	if len(source) > most {
		return fmt.Errorf("the template is longer than %d bytes", most)
	}
	if !utf8.ValidString(source) || strings.ContainsRune(source, 0) {
		return fmt.Errorf("the template is not UTF-8 text")
	}
	t, err := parseTemplate(source)
	if err != nil {
		return err
	}
	made := []*template.Template{t}
	if list := t.Templates(); len(list) > 0 {
		made = list
	}
	if len(made) > 1 {
		return fmt.Errorf("the template must not define others")
	}
	if t.Tree == nil || t.Root == nil {
		return nil // empty
	}
	return checkNodes(t.Root, 0)
}

func parseTemplate(source string) (*template.Template, error) {
	t, err := template.New("template").Option("missingkey=error").Parse(source)
	if err != nil {
		return nil, fmt.Errorf("the template cannot be read: %s", strings.TrimPrefix(err.Error(), "template: "))
	}
	return t, nil
}

// checkNodes allows text, fields, and conditions on a field.
func checkNodes(list *parse.ListNode, depth int) error {
	if list == nil {
		return nil
	}
	if depth > maxTemplateDeep {
		return fmt.Errorf("the template nests more than %d conditions", maxTemplateDeep)
	}
	for _, node := range list.Nodes {
		switch n := node.(type) {
		case *parse.TextNode, *parse.CommentNode:
		case *parse.ActionNode:
			if err := checkField(n.Pipe); err != nil {
				return err
			}
		case *parse.IfNode:
			if err := checkField(n.Pipe); err != nil {
				return err
			}
			if err := checkNodes(n.List, depth+1); err != nil {
				return err
			}
			if err := checkNodes(n.ElseList, depth+1); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the template uses %s, which is not allowed", shortened(node.String()))
		}
	}
	return nil
}

// checkField allows a pipeline that is one known field and nothing else.
func checkField(pipe *parse.PipeNode) error {
	if pipe == nil || len(pipe.Decl) > 0 || len(pipe.Cmds) != 1 || len(pipe.Cmds[0].Args) != 1 {
		return fmt.Errorf("the template uses {{%s}}, which is not allowed", shortened(pipe.String()))
	}
	field, ok := pipe.Cmds[0].Args[0].(*parse.FieldNode)
	if !ok || len(field.Ident) != 1 || !welcomeFields[field.Ident[0]] {
		return fmt.Errorf("the template uses {{%s}}, which does not exist", shortened(pipe.String()))
	}
	return nil
}

func shortened(s string) string {
	const most = 60
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

// render makes subject and text of the welcome to a user.
func (w Welcome) render(settings *store.OrganizationSettings) (subject, text string, err error) {
	w.Name, w.UserName = oneLine(w.Name, maxValue), oneLine(w.UserName, maxValue)
	w.Organization, w.SignInURL = oneLine(w.Organization, maxValue), oneLine(w.SignInURL, maxValue)
	for _, t := range []struct {
		to               *string
		source, fallback string
	}{{&subject, settings.WelcomeSubject, defaultSubject}, {&text, settings.WelcomeText, defaultText}} {
		if t.source == "" {
			t.source = t.fallback
		}
		// What is stored was checked, but perhaps by another version of the program.
		if err := checkTemplate(t.source, maxText); err != nil {
			return "", "", err
		}
		parsed, err := parseTemplate(t.source)
		if err != nil {
			return "", "", err
		}
		var out strings.Builder
		if err := parsed.Execute(&out, w); err != nil {
			return "", "", fmt.Errorf("fill the template in: %w", err)
		}
		*t.to = out.String()
	}
	if len(text) > maxMade {
		text = strings.ToValidUTF8(text[:maxMade], "")
	}
	return oneLine(subject, maxSubjectMade), text, nil
}

// oneLine is a text for one line of a mail: control characters, line and paragraph
// separators become spaces, and it is cut to so many characters. So nothing that a
// directory states can begin another header or another line.
func oneLine(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	n := 0
	for i := range s {
		if n++; n > most {
			return strings.TrimSpace(s[:i])
		}
	}
	return strings.TrimSpace(s)
}

// nameOf is how a user is called.
func nameOf(u *store.User) string {
	a := &u.Attributes
	if a.DisplayName != "" {
		return a.DisplayName
	}
	if n := a.Name; n != nil {
		if n.Formatted != "" {
			return n.Formatted
		}
		if full := strings.TrimSpace(n.GivenName + " " + n.FamilyName); full != "" {
			return full
		}
	}
	return a.UserName
}
