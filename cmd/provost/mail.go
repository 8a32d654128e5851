package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/notify"
)

// openMail makes what sends mails, of the flags. It connects to nothing.
func (c *serveCommand) openMail(p *program) error {
	o := notify.Options{Owner: ownerName(), Logger: p.log, Lease: c.Lease, Retry: c.MailRetry}
	if c.SMTPURL != "" {
		from, err := sender(c.MailFrom)
		if err != nil {
			return err
		}
		o.From = from
		if o.Server, err = c.mailServer(); err != nil {
			return err
		}
	}
	p.mailer = notify.New(p.store, o)
	return nil
}

// mailServer reads the flags of the mail server and the files that they name.
func (c *serveCommand) mailServer() (*notify.Server, error) {
	const mostPassword, mostCA = 4096, 256 << 10
	password := ""
	if c.SMTPPassword != "" {
		b, err := readBounded(c.SMTPPassword, mostPassword)
		if err != nil {
			return nil, fmt.Errorf("read --smtp-password-file: %w", err)
		}
		password = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	}
	var ca []byte
	if c.SMTPCA != "" {
		var err error
		if ca, err = readBounded(c.SMTPCA, mostCA); err != nil {
			return nil, fmt.Errorf("read --smtp-ca-file: %w", err)
		}
	}
	server, err := notify.ParseServer(c.SMTPURL, password, ca)
	if err != nil {
		return nil, misused("such as smtp://provost@mail.example.com:587 with --smtp-password-file", "--smtp-url: %v", err)
	}
	return server, nil
}

// sender reads an address with or without a name.
func sender(text string) (*mail.Address, error) {
	from, err := mail.ParseAddress(text)
	if err == nil {
		if address, ok := store.MailAddress(from.Address); ok {
			from.Address = address
			return from, nil
		}
	}
	return nil, misused("such as provost@example.com, or Provost <provost@example.com>", "--mail-from %q is no address", text)
}

// outbox shows how many mails there are in each state, as the database says when it is
// asked: a mail may have been sent by another replica.
type outbox struct {
	store store.Store
	log   *slog.Logger
}

var outboxMetric = prometheus.NewDesc("provost_mails",
	"Mails of the last 30 days, by state: queued, sending, sent, failed, uncertain.", []string{"state"}, nil)

var outboxLagMetric = prometheus.NewDesc("provost_mail_lag_seconds",
	"How long the mail has waited that has waited longest to be sent; 0 if none waits.", nil, nil)

// Describe names the metrics.
func (*outbox) Describe(to chan<- *prometheus.Desc) {
	to <- outboxMetric
	to <- outboxLagMetric
}

// Collect counts the mails.
func (o *outbox) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	var counts map[store.MailState]int
	var oldest time.Time
	err := o.store.View(ctx, func(r store.Reader) (err error) {
		if counts, err = r.MailCounts(ctx); err != nil {
			return err
		}
		oldest, err = r.OldestMail(ctx)
		return err
	})
	if err != nil { // an invalid metric would take all others away
		o.log.WarnContext(ctx, "could not count mails", "error", err)
		return
	}
	for _, state := range store.MailStates {
		to <- prometheus.MustNewConstMetric(outboxMetric, prometheus.GaugeValue, float64(counts[state]), string(state))
	}
	lag := 0.0
	if !oldest.IsZero() {
		lag = max(0, time.Since(oldest).Seconds())
	}
	to <- prometheus.MustNewConstMetric(outboxLagMetric, prometheus.GaugeValue, lag)
}
