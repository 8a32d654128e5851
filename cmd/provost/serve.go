package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"
)

// serveCommand is `provost serve`.
type serveCommand struct {
	databaseFlag
	Listen         string         `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Where to listen; port 0 takes a free one."`
	PublicURL      string         `name:"public-url" placeholder:"URL" help:"What clients call this server, such as https://provost.example.com; without it each request says."`
	TLSCert        string         `name:"tls-cert" placeholder:"FILE" help:"The certificate chain in PEM; it is read again when it changes."`
	TLSKey         string         `name:"tls-key" placeholder:"FILE" help:"The key of the certificate."`
	TrustedProxy   []netip.Prefix `placeholder:"CIDR" help:"Believe the X-Forwarded headers of requests from there."`
	SecretKeyFile  string         `placeholder:"FILE" help:"The key that encrypts bind passwords, made if it is missing; every replica needs the same one. Default: beside a SQLite database, else provost.key."`
	Cap            int            `default:"10000" placeholder:"N" help:"The most users that a group publishes."`
	DNSResolver    string         `name:"dns-resolver" placeholder:"HOST:PORT" help:"The DNS server that verifies domains, instead of the system's."`
	Lease          time.Duration  `default:"15s" placeholder:"SPAN" help:"After how long another replica takes up a run whose process was killed."`
	WindowRecords  int            `placeholder:"N" help:"About how many records one transaction of a run changes; by default 3000, and 200 on SQLite, where pushes wait for it."`
	SMTPURL        string         `name:"smtp-url" placeholder:"URL" help:"The mail server, smtp://[USER@]HOST[:PORT] with STARTTLS, or smtps://…; smtp://HOST?tls=off sends in plain text. Without one no mail is sent."`
	SMTPPassword   string         `name:"smtp-password-file" placeholder:"FILE" help:"The file with the password of the mail server's user."`
	SMTPCA         string         `name:"smtp-ca-file" placeholder:"FILE" help:"Certificates in PEM to trust of a mail server, instead of the system's."`
	MailFrom       string         `placeholder:"ADDRESS" help:"The sender of mails, such as Provost <provost@example.com>."`
	MailRetry      time.Duration  `default:"1m" placeholder:"SPAN" help:"About after how long a mail that was refused for now is tried again; each time after twice as long, for 3 days."`
	RunRetention   time.Duration  `default:"2160h" placeholder:"SPAN" help:"How long the history keeps runs that have ended; 0 keeps them for ever."`
	Retention      time.Duration  `default:"720h" placeholder:"SPAN" help:"How long deleted users and groups can be restored before they are purged; 0 keeps them for ever."`
	MaxRequests    int            `default:"256" placeholder:"N" help:"The most requests at a time; beyond it clients are asked to come again."`
	DrainWithin    time.Duration  `default:"5s" placeholder:"SPAN" help:"For how long a server that is stopped goes on taking requests, each on a connection that it then closes, while /readyz says that it stops. It ends sooner when no client is connected."`
	ShutdownWithin time.Duration  `default:"20s" placeholder:"SPAN" help:"How long requests and runs may then take to end."`
	webhookFlags
	oidcFlags
	LogLevel  slog.Level `default:"info" placeholder:"LEVEL" help:"debug, info, warn or error."`
	LogFormat string     `enum:"text,json" default:"text" help:"How log lines are written: text or json."`
	Demo      bool       `help:"Serve ./demo/provost.db with a directory to push to, and print how."`
}

// Help shows how it is used.
func (*serveCommand) Help() string {
	return `The database is migrated first. SIGTERM and SIGINT stop it: /readyz answers 503, clients are let go (--drain-within), then no new requests are taken, the present ones and the workers end (--shutdown-within), the store closes. A second signal ends it at once.

Examples:

    provost serve --demo
    provost serve --database sqlite:/var/lib/provost/provost.db
    provost serve --database postgres://provost@db/provost --listen :8443 --tls-cert tls.crt --tls-key tls.key`
}

// Run serves until the context ends.
func (c *serveCommand) Run(s *session) (err error) {
	defer ballast()()
	if err := c.check(); err != nil {
		return err
	}
	log := c.logger(s)
	if c.Demo {
		if err := c.demoDatabase(); err != nil {
			return err
		}
	}
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return failed("--listen HOST:PORT chooses another address", "listen: %v", err)
	}
	defer listener.Close() // where nothing has served it
	tlsConfig, err := reloadingTLS(c.TLSCert, c.TLSKey, log)
	if err != nil {
		return err
	}
	p, err := c.open(s.ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.store.Close()) }()

	url := "http://" + listener.Addr().String()
	if tlsConfig != nil {
		url = "https://" + listener.Addr().String()
	}
	if c.Demo {
		if err := p.demonstrate(s.ctx, s.stdout, url, c.dsn()); err != nil {
			return err
		}
	}
	server := &http.Server{
		Handler:           p.handler,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       2 * time.Minute,
		ConnState:         p.drain.watch,
		MaxHeaderBytes:    1 << 20, // so that a SCIM client learns from SCIM that its filter is too long
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	fmt.Fprintf(s.stderr, "listening on %s\n", url)
	return p.serve(s.ctx, server, listener, c.DrainWithin, c.ShutdownWithin)
}

// check refuses flags that contradict each other.
func (c *serveCommand) check() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return misused("give both, or none for plain HTTP", "--tls-cert and --tls-key belong together")
	case c.Cap < 1:
		return misused("the default is 10000", "--cap %d is less than 1", c.Cap)
	case c.WindowRecords < 0:
		return misused("the default is 3000, and 200 on SQLite", "--window-records %d is negative", c.WindowRecords)
	case c.MaxRequests < 1:
		return misused("the default is 256", "--max-requests %d is less than 1", c.MaxRequests)
	case c.Lease < time.Second:
		return misused("the default is 15s", "--lease %s is less than a second", c.Lease)
	case c.RunRetention < 0:
		return misused("the default is 2160h, and 0 keeps everything", "--run-retention %s is negative", c.RunRetention)
	case c.Retention < 0:
		return misused("the default is 720h, and 0 keeps everything", "--retention %s is negative", c.Retention)
	case c.SMTPURL != "" && c.MailFrom == "":
		return misused("such as --mail-from provost@example.com", "--smtp-url needs --mail-from")
	case c.SMTPURL == "" && (c.MailFrom != "" || c.SMTPPassword != "" || c.SMTPCA != ""):
		return misused("such as --smtp-url smtp://provost@mail.example.com", "--mail-from, --smtp-password-file and --smtp-ca-file need --smtp-url")
	case c.MailRetry <= 0:
		return misused("the default is 1m", "--mail-retry must be positive")
	case c.DrainWithin < 0:
		return misused("the default is 5s, and 0 does not wait", "--drain-within %s is negative", c.DrainWithin)
	case c.ShutdownWithin <= 0:
		return misused("the default is 20s", "--shutdown-within must be positive")
	case c.PublicURL != "" && !strings.HasPrefix(c.PublicURL, "http://") && !strings.HasPrefix(c.PublicURL, "https://"):
		return misused("such as https://provost.example.com", "--public-url %q is not an http or https URL", c.PublicURL)
	}
	if err := c.webhookFlags.check(); err != nil {
		return err
	}
	if _, err := c.people(); err != nil {
		return err
	}
	if c.DNSResolver != "" {
		if _, _, err := net.SplitHostPort(c.DNSResolver); err != nil {
			return misused("such as 127.0.0.1:53", "--dns-resolver %q is not HOST:PORT", c.DNSResolver)
		}
	}
	return nil
}

func (c *serveCommand) logger(s *session) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(s.stderr, options))
	}
	return slog.New(slog.NewTextHandler(s.stderr, options))
}

// keyFile is where the encryption key is when no flag says so: beside a SQLite
// database, which is a folder of this one server's; else in the working directory.
func (c *serveCommand) keyFile() string {
	if c.SecretKeyFile != "" {
		return c.SecretKeyFile
	}
	if path, ok := strings.CutPrefix(c.dsn(), "sqlite:"); ok {
		return path + ".key"
	}
	return "provost.key"
}

// serve answers requests until the context ends or something breaks, and then
// stops in order: readiness, streams, connections that are kept, new requests, present
// ones, workers.
func (p *program) serve(ctx context.Context, server *http.Server, listener net.Listener, draining, within time.Duration) error {
	workers := startWorkers(ctx, p.workers)
	served := make(chan error, 1)
	go func() {
		if server.TLSConfig != nil {
			served <- server.ServeTLS(listener, "", "")
		} else {
			served <- server.Serve(listener)
		}
	}()
	p.ready.Store(true)

	var broken error
	select {
	case <-ctx.Done():
		p.log.InfoContext(ctx, "stopping", "drain", draining.String(), "within", within.String())
	case broken = <-workers.broken:
	case broken = <-served:
	}
	p.ready.Store(false)
	p.closeStreams()
	if broken == nil {
		p.drain.clients(draining)
		if err := listener.Close(); err != nil {
			p.log.WarnContext(ctx, "could not stop listening", "error", err)
		}
		p.drain.newcomers() // Shutdown drops a request that it has not seen begin
	}

	bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), within)
	defer cancel()
	err := server.Shutdown(bound)
	if err != nil {
		p.log.WarnContext(ctx, "requests were cut off", "error", err)
		err = server.Close()
	}
	workers.stop()
	if !workers.wait(bound) {
		p.log.WarnContext(ctx, "workers did not end in time; another process takes up what they left")
		err = errors.Join(err, errors.New("workers did not end in time"))
	}
	if errors.Is(broken, http.ErrServerClosed) {
		broken = nil
	}
	if broken != nil {
		return fmt.Errorf("serve: %w", errors.Join(broken, err))
	}
	return err
}

// demoDatabase makes the folder of the demonstration.
func (c *serveCommand) demoDatabase() error {
	if c.Database != "" {
		return nil
	}
	c.Database = "sqlite:demo/provost.db"
	return os.MkdirAll("demo", 0o700)
}
