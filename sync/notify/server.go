package notify

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// How long a mail server may take: to be connected to and to let us in, and to answer
// a command (RFC 5321 section 4.5.3.2 allows more, which nobody needs).
const (
	connectTime = 30 * time.Second
	commandTime = time.Minute
)

// Server is the mail server that takes our mails.
type Server struct {
	host, port string
	user       string
	password   string
	implicit   bool // TLS from the first byte
	starttls   bool // TLS after STARTTLS, without which nothing is sent
	config     *tls.Config
}

// ParseServer reads smtp://[USER@]HOST[:PORT] (port 587; TLS by STARTTLS, without which
// nothing is sent, unless ?tls=off says so) or smtps://… (port 465; TLS at once). ca
// are certificates in PEM to trust instead of the system's; empty: those. A user needs
// TLS and a password, which must not be in the URL.
func ParseServer(address, password string, ca []byte) (*Server, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the URL of the mail server cannot be read")
	}
	s := &Server{host: u.Hostname(), port: u.Port(), user: u.User.Username(), password: password, starttls: true}
	if _, given := u.User.Password(); given {
		return nil, errors.New("the URL of the mail server must not hold the password")
	}
	switch u.Scheme {
	case "smtp":
		if s.port == "" {
			s.port = "587"
		}
	case "smtps":
		s.implicit, s.starttls = true, false
		if s.port == "" {
			s.port = "465"
		}
	default:
		return nil, errors.New("the URL of the mail server must begin with smtp:// or smtps://")
	}
	if s.host == "" || u.Path != "" && u.Path != "/" || u.Fragment != "" {
		return nil, errors.New("the URL of the mail server must have the form smtp://[USER@]HOST[:PORT]")
	}
	if n, err := strconv.Atoi(s.port); err != nil || n < 1 || n > 65535 {
		return nil, fmt.Errorf("the port %q of the mail server is none", s.port)
	}
	for name, values := range u.Query() {
		switch {
		case name == "tls" && len(values) == 1 && values[0] == "off" && !s.implicit:
			s.starttls = false
		default:
			return nil, fmt.Errorf("the URL of the mail server has the unknown parameter %s=%s", name, strings.Join(values, ","))
		}
	}
	switch {
	case (s.user == "") != (password == ""):
		return nil, errors.New("a user and a password of the mail server belong together")
	case s.user != "" && !s.implicit && !s.starttls:
		return nil, errors.New("with tls=off everybody on the way could read the password of the mail server")
	}
	s.config = &tls.Config{ServerName: s.host, MinVersion: tls.VersionTLS12}
	if len(ca) > 0 {
		s.config.RootCAs = x509.NewCertPool()
		if !s.config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the CA file of the mail server holds no certificate in PEM")
		}
	}
	return s, nil
}

// connection is an open connection to a mail server that lets us in.
type connection struct {
	smtp *smtp.Client
	net  net.Conn
}

// connect connects and signs in.
func (s *Server) connect(ctx context.Context) (_ *connection, err error) {
	address := net.JoinHostPort(s.host, s.port)
	var opened net.Conn
	stop := func() bool { return true }
	defer func() {
		stop()
		if err != nil && opened != nil {
			_ = opened.Close() // the library does not
		}
	}()
	dial := func(dialing context.Context, network, _ string) (net.Conn, error) {
		var d interface {
			DialContext(ctx context.Context, network, address string) (net.Conn, error)
		} = &net.Dialer{}
		if s.implicit {
			d = &tls.Dialer{Config: s.config}
		}
		c, err := d.DialContext(dialing, network, address)
		if err != nil {
			return nil, err
		}
		opened = c
		stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // the library heeds ctx only while it dials
		return c, nil
	}
	options := []mail.Option{mail.WithTimeout(connectTime), mail.WithTLSConfig(s.config), mail.WithDialContextFunc(dial), mail.WithTLSPolicy(mail.TLSMandatory)}
	switch {
	case s.implicit:
		options = append(options, mail.WithSSL())
	case !s.starttls:
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	}
	client, err := mail.NewClient(s.host, options...)
	if err != nil {
		return nil, fmt.Errorf("prepare to call the mail server: %w", err)
	}
	c := &connection{}
	if c.smtp, err = client.DialToSMTPClientWithContext(ctx); err != nil {
		return nil, fmt.Errorf("connect to the mail server %s: %w", address, err)
	}
	c.net = opened
	if s.user == "" {
		return c, nil
	}
	if err := s.signIn(c.smtp); err != nil {
		return nil, fmt.Errorf("sign in to the mail server %s as %s: %w", address, s.user, err)
	}
	return c, nil
}

// signIn uses the best way that the server offers. All of them want TLS first.
func (s *Server) signIn(c *smtp.Client) error {
	_, offered := c.Extension("AUTH")
	for _, way := range []struct {
		name string
		auth func() smtp.Auth
	}{
		{"SCRAM-SHA-256", func() smtp.Auth { return smtp.ScramSHA256Auth(s.user, s.password) }},
		{"PLAIN", func() smtp.Auth { return smtp.PlainAuth("", s.user, s.password, s.host, false) }},
		{"LOGIN", func() smtp.Auth { return smtp.LoginAuth(s.user, s.password, s.host, false) }},
	} {
		if slices.Contains(strings.Fields(offered), way.name) {
			return c.Auth(way.auth())
		}
	}
	return fmt.Errorf("it offers %q, of which SCRAM-SHA-256, PLAIN or LOGIN would be used", offered)
}

// close ends the connection in order; what goes wrong then changes nothing.
func (c *connection) close() {
	_ = c.smtp.UpdateDeadline(5 * time.Second)
	_ = c.smtp.Quit()
	_ = c.net.Close()
}
