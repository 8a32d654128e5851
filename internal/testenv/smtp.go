package testenv

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// SMTPOptions adjust a mail server. The zero value offers STARTTLS and wants no user.
type SMTPOptions struct {
	User, Password string // who may send, over TLS only; "": everybody
	Plain          bool   // offer no STARTTLS
	Implicit       bool   // TLS from the first byte
}

// SMTPServer is a real mail server that keeps what it took, and can refuse, hang and
// forget to answer.
type SMTPServer struct {
	Addr   string // 127.0.0.1:PORT
	CAFile string // of its certificate

	options SMTPOptions

	mu      sync.Mutex
	taken   []SMTPMail
	refuse  map[string]refusal // by step
	hung    map[string]chan struct{}
	arrived map[string]int // at a step, whatever became of it
}

// SMTPMail is a mail that the server has taken.
type SMTPMail struct {
	From, To string
	Text     string // headers and body, with CR LF
}

type refusal struct {
	code int
	text string
	left int // so many times; below 0: always
}

// The steps at which a mail server can be told to do otherwise. StepConnect comes again
// after STARTTLS; StepAnswer is after the server has taken the mail, and before it says
// so.
const (
	StepConnect = "CONNECT"
	StepMail    = "MAIL"
	StepRcpt    = "RCPT"
	StepData    = "DATA"
	StepAnswer  = "ANSWER"
)

// SMTP starts a mail server for the test and stops it at its end.
func SMTP(t testing.TB, o SMTPOptions) *SMTPServer {
	t.Helper()
	dir := t.TempDir()
	if err := writeCertificates(dir, certificateTime); err != nil {
		t.Fatalf("start a mail server: %v", err)
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(dir, serverCertificateFile), filepath.Join(dir, serverKeyFile))
	if err != nil {
		t.Fatalf("start a mail server: %v", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("start a mail server: %v", err)
	}
	s := &SMTPServer{
		Addr: listener.Addr().String(), CAFile: filepath.Join(dir, caCertificateFile), options: o,
		refuse: map[string]refusal{}, hung: map[string]chan struct{}{}, arrived: map[string]int{},
	}
	server := smtp.NewServer(smtp.BackendFunc(s.session))
	server.Domain = "mail.test"
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	server.MaxMessageBytes, server.MaxRecipients = 1<<20, 10
	server.EnableSMTPUTF8 = true
	server.ErrorLog = silent{} // what goes wrong is what the test does
	if !o.Plain {
		server.TLSConfig = config
	}
	if o.Implicit {
		listener = tls.NewListener(listener, config)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		s.mu.Lock()
		for step, gate := range s.hung {
			close(gate)
			delete(s.hung, step)
		}
		s.mu.Unlock()
		if err := errors.Join(server.Close(), <-ended); err != nil {
			t.Errorf("stop the mail server: %v", err)
		}
	})
	return s
}

// URL is that of the server for a client, with the user if there is one.
func (s *SMTPServer) URL() string {
	user := ""
	if s.options.User != "" {
		user = s.options.User + "@"
	}
	switch {
	case s.options.Implicit:
		return "smtps://" + user + s.Addr
	case s.options.Plain:
		return "smtp://" + user + s.Addr + "?tls=off"
	}
	return "smtp://" + user + s.Addr
}

// Mails returns what the server has taken, the oldest first.
func (s *SMTPServer) Mails() []SMTPMail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]SMTPMail{}, s.taken...)
}

// To returns what the server has taken for one address.
func (s *SMTPServer) To(address string) (list []SMTPMail) {
	for _, m := range s.Mails() {
		if strings.EqualFold(m.To, address) {
			list = append(list, m)
		}
	}
	return list
}

// Arrived returns how often clients have come to a step.
func (s *SMTPServer) Arrived(step string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.arrived[step]
}

// Refuse makes the server answer a step with a code, so many times or, below 0, until
// Accept.
func (s *SMTPServer) Refuse(step string, code int, text string, times int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse[step] = refusal{code, text, times}
}

// Accept ends what Refuse began.
func (s *SMTPServer) Accept(step string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.refuse, step)
}

// Hang makes whoever comes to a step wait until release is called. A mail that hangs at
// StepAnswer has been taken.
func (s *SMTPServer) Hang(step string) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gate := make(chan struct{})
	s.hung[step] = gate
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.hung[step] == gate {
			delete(s.hung, step)
			close(gate)
		}
	}
}

// at is what the server does at a step.
func (s *SMTPServer) at(step string) error {
	s.mu.Lock()
	s.arrived[step]++
	gate := s.hung[step]
	s.mu.Unlock()
	if gate != nil {
		<-gate
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.refuse[step]
	if !ok || r.left == 0 {
		return nil
	}
	r.left--
	s.refuse[step] = r
	return &smtp.SMTPError{Code: r.code, EnhancedCode: smtp.NoEnhancedCode, Message: r.text}
}

func (s *SMTPServer) session(*smtp.Conn) (smtp.Session, error) {
	if err := s.at(StepConnect); err != nil {
		return nil, err
	}
	return &smtpSession{server: s, known: s.options.User == ""}, nil
}

// smtpSession is one connection.
type smtpSession struct {
	server *SMTPServer
	known  bool
	mail   SMTPMail
}

// AuthMechanisms offers PLAIN to those who need to sign in.
func (s *smtpSession) AuthMechanisms() []string {
	if s.server.options.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth checks user and password.
func (s *smtpSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != s.server.options.User || password != s.server.options.Password {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

// Mail begins a mail.
func (s *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	s.mail = SMTPMail{From: from}
	return s.server.at(StepMail)
}

// Rcpt names who gets it.
func (s *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = strings.TrimPrefix(s.mail.To+","+to, ",")
	return s.server.at(StepRcpt)
}

// Data takes the text. What was cut off is not taken.
func (s *smtpSession) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.server.at(StepData); err != nil {
		return err
	}
	s.mail.Text = string(text)
	s.server.mu.Lock()
	s.server.taken = append(s.server.taken, s.mail)
	s.server.mu.Unlock()
	return s.server.at(StepAnswer)
}

// Reset forgets a mail that was begun.
func (s *smtpSession) Reset() { s.mail = SMTPMail{} }

// Logout is the end of the connection.
func (*smtpSession) Logout() error { return nil }

// PasswordFile writes the password into a file of the test.
func (s *SMTPServer) PasswordFile(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(path, []byte(s.options.Password+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// silent is a log that nobody reads.
type silent struct{}

func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}
