package main

import "embed"

// completionCommand is `provost completion`.
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: bash, zsh or fish."`
}

// completionScripts ask the hidden command __complete.
//
//go:embed completion
var completionScripts embed.FS

// Help shows how it is used.
func (*completionCommand) Help() string {
	return `Commands, flags, their values and the names of directories are completed; the latter are asked of the server that
PROVOST_URL and PROVOST_TOKEN name.

Examples:

    source <(provost completion bash)                        # in ~/.bashrc
    provost completion zsh > "${fpath[1]}/_provost"          # once
    provost completion fish > ~/.config/fish/completions/provost.fish`
}

// Run prints the script.
func (c *completionCommand) Run(s *session) error {
	script, err := completionScripts.ReadFile("completion/provost." + c.Shell)
	if err != nil {
		return err
	}
	_, err = s.stdout.Write(script)
	return err
}
