package main

import (
	"strings"

	"github.com/alecthomas/kong"
)

// variable names the environment variable of a flag: PROVOST_ and the flag's name,
// or what its tag `variable` says where another flag has that name already.
func variable(flag *kong.Flag) string {
	if flag == nil || flag.Name == "help" {
		return ""
	}
	name := flag.Tag.Get("variable")
	if name == "" {
		name = strings.ToUpper(strings.ReplaceAll(flag.Name, "-", "_"))
	}
	return "PROVOST_" + name
}

// fromEnvironment gives flags that are not on the command line the value of their
// environment variable. kong's own look-up would read the process's environment,
// which a test that runs the program in its own process does not want.
func fromEnvironment(env lookupEnv) kong.ResolverFunc {
	return func(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
		name := variable(flag)
		if name == "" {
			return nil, nil
		}
		value, ok := env(name)
		if !ok || value == "" {
			return nil, nil
		}
		if flag.IsSlice() && strings.Contains(value, "\n") {
			var list []any
			for line := range strings.Lines(value) {
				if line = strings.TrimSpace(line); line != "" {
					list = append(list, line)
				}
			}
			return list, nil
		}
		return value, nil
	}
}

// helpWithVariable shows in a flag's help its default and which variable it is.
func helpWithVariable(v *kong.Value) string {
	name := variable(v.Flag)
	if name == "" {
		return v.Help
	}
	note := "$" + name
	if v.HasDefault && v.Default != "" {
		note = "default " + v.Default + ", " + note
	}
	help, dot := strings.CutSuffix(v.Help, ".")
	if !dot {
		return help + " (" + note + ")"
	}
	return help + " (" + note + ")."
}
