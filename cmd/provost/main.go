// Command provost is the program: the server, and the commands with which people
// and scripts talk to one.
//
// The usual path: `provost serve` wires the store, the reconciler, the SCIM
// endpoint, the REST interface and the workers together in one process;
// `provost admin token create` makes the first token straight on the database;
// every other command speaks REST, to where PROVOST_URL says and as PROVOST_TOKEN
// says.
//
// Each subcommand is one file. Nothing else in the module knows about flags, and
// nothing here decides anything: rules live in sync/reconcile.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // schedules name zones, whatever the machine knows

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	os.Exit(realMain(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv))
}

// commands is the tree of subcommands.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server: SCIM, REST, and the workers, in one process."`
	Migrate migrateCommand `cmd:"" help:"Bring the database to the schema of this program."`
	Version versionCommand `cmd:"" help:"Print the version." example:"version"`
	Admin   adminCommand   `cmd:"" help:"What works straight on the database, without a server."`

	Org       orgCommand       `cmd:"" help:"Organizations."`
	Directory directoryCommand `cmd:"" help:"Directories: the places users come from."`
	Token     tokenCommand     `cmd:"" help:"Tokens of SCIM clients and of administrators."`
	Domain    domainCommand    `cmd:"" help:"Domains that the organization claims."`
	User      userCommand      `cmd:"" help:"Users."`
	Group     groupCommand     `cmd:"" help:"Groups and their members."`
	Role      roleCommand      `cmd:"" help:"Roles, and who holds them."`
	Licence   licenceCommand   `cmd:"" help:"Licences with their pools, and who holds them."`
	Product   productCommand   `cmd:"" help:"Products, and which groups have access."`
	Billable  billableCommand  `cmd:"" help:"Count the active users of groups with access to a product." example:"billable --json"`
	Sync      syncCommand      `cmd:"" help:"Plans and runs of directories that are pulled."`
	Search    searchCommand    `cmd:"" help:"Search a live directory, and show what an import would make of each hit."`
	Import    importCommand    `cmd:"" help:"Import chosen users and groups of a directory, with roles, enabled or not."`
	Doctor    doctorCommand    `cmd:"" help:"Find out why something does not work."`
	Event     eventCommand     `cmd:"" help:"The log of every change."`
	Webhook   webhookCommand   `cmd:"" help:"Endpoints to which events are posted."`
	Finding   findingCommand   `cmd:"" help:"What was refused, and what a person should know."`

	Completion completionCommand `cmd:"" help:"Print the script with which a shell completes commands."`
	Complete   completeCommand   `cmd:"" name:"__complete" hidden:""`
}

// session is what a command has of the world around it.
type session struct {
	ctx            context.Context
	stdin          io.Reader
	stdout, stderr io.Writer
	env            lookupEnv
}

// lookupEnv is [os.LookupEnv] or a test's own environment.
type lookupEnv func(string) (string, bool)

// stopParsing leaves kong's parser when it would end the process: after --help.
type stopParsing struct{ code int }

// realMain runs one command and returns the exit code of the process. It returns
// early, but cleanly, when ctx ends.
func realMain(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env lookupEnv) (code int) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case stopParsing:
			code = p.code
		default:
			panic(p)
		}
	}()
	var tree commands
	parser, err := kong.New(&tree,
		kong.Name("provost"),
		kong.Description("Keeps one clean list of an organization's users and groups.\n\nEvery flag is also an environment variable; a list in one is divided by line breaks."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { panic(stopParsing{code}) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 100}),
		kong.ValueFormatter(helpWithVariable),
		kong.ExplicitGroups([]kong.Group{
			{Key: "server", Title: "Where the server is, and who calls:"},
			{Key: "oidc", Title: "Administrators of an OpenID Connect issuer:"},
			{Key: "rules", Title: "Rules:"},
			{Key: "ldap", Title: "Of kind ldap:"},
			{Key: "output", Title: "Output:"},
		}),
		kong.Resolvers(fromEnvironment(env)),
		kong.PostBuild(showExamples),
	)
	if err != nil {
		return report(stderr, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return report(stderr, usageError(err))
	}
	s := &session{ctx: ctx, stdin: stdin, stdout: stdout, stderr: stderr, env: env}
	return report(stderr, parsed.Run(s))
}

// usageError is an error of the command line, with the help that may answer it.
func usageError(err error) error {
	path := "provost"
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil && p.Context.Selected() != nil {
		path = p.Context.Selected().FullPath()
	}
	return &failure{code: exitUsage, message: err.Error(), hint: fmt.Sprintf("run `%s --help`", path)}
}
