package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// showExamples gives commands that have a tag `example` an example in their help. The
// tag has what follows the name of the parent, so that commands which several parents
// share show each their own. A command that needs more than a line has a method Help.
func showExamples(k *kong.Kong) error {
	return kong.Visit(k.Model, func(node kong.Visitable, next kong.Next) error {
		command, ok := node.(*kong.Node)
		if !ok || command.Type != kong.CommandNode || command.Tag == nil {
			return next(nil)
		}
		lines := command.Tag.GetAll("example")
		if len(lines) == 0 {
			return next(nil)
		}
		title := "Example:"
		if len(lines) > 1 {
			title = "Examples:"
		}
		text := title + "\n"
		for _, line := range lines {
			text += "\n    " + strings.TrimSpace(parentPath(command)+" "+line)
		}
		if command.Detail != "" {
			text = command.Detail + "\n\n" + text
		}
		command.Detail = text
		return next(nil)
	})
}

// parentPath is how the parent of a command is called: provost licence.
func parentPath(command *kong.Node) string {
	var words []string
	for n := command.Parent; n != nil; n = n.Parent {
		words = append([]string{n.Name}, words...)
	}
	return strings.Join(words, " ")
}
