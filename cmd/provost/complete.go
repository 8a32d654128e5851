package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/provost-scim/provost/openapi"
)

// completeCommand is what the scripts of `provost completion` call: it prints what the
// last word could become, one a line, each with a tab and what it is. The line ":files"
// says that it is the name of a file.
type completeCommand struct {
	Words []string `arg:"" optional:"" passthrough:""`
}

// candidate is one thing that a word could become.
type candidate struct{ text, help string }

// files asks the shell for the names of files.
var files = candidate{text: ":files"}

// Run prints the candidates.
func (c *completeCommand) Run(s *session, k *kong.Context) error {
	words := c.Words
	if len(words) > 0 && words[0] == "--" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{""}
	}
	for _, found := range complete(s, k.Model.Node, words) {
		if _, err := fmt.Fprintf(s.stdout, "%s\t%s\n", found.text, plain(firstSentence(found.help))); err != nil {
			return err
		}
	}
	return nil
}

func firstSentence(help string) string {
	sentence, _, _ := strings.Cut(help, ". ")
	return strings.TrimSuffix(sentence, ".")
}

// complete says what the last of the words could become, after the others.
func complete(s *session, node *kong.Node, words []string) []candidate {
	var pending *kong.Flag // a flag that waits for its value
	arguments, after := 0, false
	last := len(words) - 1
	for _, word := range words[:last] {
		switch {
		case word == "=" && pending != nil: // bash makes words of their own of --flag=value
		case pending != nil:
			pending = nil
		case word == "--":
			after = true
		case !after && len(word) > 1 && word[0] == '-':
			name, _, whole := strings.Cut(word, "=")
			if flag := flagOf(node, name); flag != nil && !flag.IsBool() && !flag.IsCounter() && !whole {
				pending = flag
			}
		default:
			if child := childOf(node, word); child != nil && arguments == 0 {
				node = child
			} else {
				arguments++
			}
		}
	}
	word := words[last]
	if word == "=" {
		word = ""
	}
	switch name, part, whole := strings.Cut(word, "="); {
	case pending != nil:
		return startingWith(word, valuesOf(s, pending.Value))
	case !after && whole && strings.HasPrefix(name, "--"):
		flag := flagOf(node, name)
		if flag == nil {
			return nil
		}
		found := startingWith(part, valuesOf(s, flag.Value))
		for i := range found {
			if found[i] != files {
				found[i].text = name + "=" + found[i].text
			}
		}
		return found
	case !after && strings.HasPrefix(word, "-"):
		return startingWith(word, flagsOf(node))
	}
	var found []candidate
	if arguments == 0 {
		for _, child := range node.Children {
			if child.Type == kong.CommandNode && !child.Hidden {
				found = append(found, candidate{child.Name, child.Help})
			}
		}
	}
	if arguments < len(node.Positional) {
		found = append(found, valuesOf(s, node.Positional[arguments])...)
	}
	return startingWith(word, found)
}

// startingWith keeps the candidates that the word could become.
func startingWith(word string, all []candidate) []candidate {
	return slices.DeleteFunc(all, func(c candidate) bool { return c != files && !strings.HasPrefix(c.text, word) })
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, child := range node.Children {
		if child.Type == kong.CommandNode && (child.Name == name || slices.Contains(child.Aliases, name)) {
			return child
		}
	}
	return nil
}

// flagOf finds a flag of a command, or of those above it, as it is written.
func flagOf(node *kong.Node, written string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if written == "--"+flag.Name || flag.Short != 0 && written == "-"+string(flag.Short) {
				return flag
			}
			for _, alias := range flag.Aliases {
				if written == "--"+alias {
					return flag
				}
			}
		}
	}
	return nil
}

func flagsOf(node *kong.Node) (all []candidate) {
	for _, group := range node.AllFlags(true) {
		for _, flag := range group {
			all = append(all, candidate{"--" + flag.Name, flag.Help})
			if flag.Tag.Negatable != "" {
				all = append(all, candidate{"--no-" + flag.Name, flag.Help})
			}
		}
	}
	return all
}

// valuesOf says what a flag or an argument could be: one of a few words, a file, or
// what the server knows.
func valuesOf(s *session, v *kong.Value) (all []candidate) {
	switch {
	case v.Enum != "":
		for _, word := range v.EnumSlice() {
			if word != "" {
				all = append(all, candidate{text: word})
			}
		}
	case v.Flag != nil && v.Flag.PlaceHolder == "FILE":
		return []candidate{files}
	case strings.Contains(v.Help, "name of the directory"), v.Flag != nil && v.Name == "directory":
		return directoryNames(s)
	}
	return all
}

// completionTime is how long a person may have to wait for names of the server.
const completionTime = 2 * time.Second

// directoryNames are the directories of the server that the environment names. That
// it does not answer is no reason to disturb whoever is typing.
func directoryNames(s *session) (all []candidate) {
	r := remote{Server: "http://127.0.0.1:8080"}
	for name, into := range map[string]*string{"PROVOST_SERVER": &r.Server, "PROVOST_URL": &r.Server, "PROVOST_TOKEN": &r.Token, "PROVOST_ORGANIZATION": &r.Organization} {
		if value, ok := s.env(name); ok && value != "" {
			*into = value
		}
	}
	api, err := r.apiWithin(completionTime)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, completionTime)
	defer cancel()
	dirs, err := answer((*openapi.ListDirectoriesResponse).GetJSON200)(api.ListDirectoriesWithResponse(ctx, nil))
	if err != nil {
		return nil
	}
	for i := range dirs.Items {
		all = append(all, candidate{dirs.Items[i].Name, "of kind " + string(dirs.Items[i].Kind)})
	}
	return all
}
