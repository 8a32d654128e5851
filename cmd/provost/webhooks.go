package main

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/provost-scim/provost/internal/seal"
	"github.com/provost-scim/provost/openapi"
	"github.com/provost-scim/provost/openapi/admin"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/notify"
)

// webhookFlags are those of `provost serve` about webhooks.
type webhookFlags struct {
	WebhookAllow      []netip.Prefix `placeholder:"CIDR" help:"Webhooks may go to this network, whatever it is, and without TLS; by default not to this host, its link, or where a cloud answers for its machines."`
	WebhookPublicOnly bool           `help:"Webhooks may not go to private networks."`
	WebhookCA         string         `name:"webhook-ca-file" placeholder:"FILE" help:"Certificates in PEM to trust of endpoints of webhooks, instead of the system's."`
	WebhookRetry      time.Duration  `default:"10s" placeholder:"SPAN" help:"About after how long an event that an endpoint did not take is sent again; each time after twice as long, for 3 days."`
	WebhookRetention  time.Duration  `default:"168h" placeholder:"SPAN" help:"How long the log of deliveries is kept."`
}

func (c *webhookFlags) check() error {
	switch {
	case c.WebhookRetry <= 0:
		return misused("the default is 10s", "--webhook-retry must be positive")
	case c.WebhookRetention <= 0:
		return misused("the default is 168h", "--webhook-retention must be positive")
	}
	return nil
}

// openWebhooks makes what sends events to endpoints. It connects to nothing.
func (c *serveCommand) openWebhooks(p *program) error {
	o := notify.WebhookOptions{
		Reach:  notify.Reach{Allow: c.WebhookAllow, PublicOnly: c.WebhookPublicOnly, Resolver: c.resolver()},
		Render: renderForWebhooks,
		Seal: func(plain []byte, id store.ID) ([]byte, error) {
			return p.sealer.Seal(plain, seal.WebhookSecret(string(id)))
		},
		Open: func(sealed []byte, id store.ID) ([]byte, error) {
			return p.sealer.Open(sealed, seal.WebhookSecret(string(id)))
		},
		Owner: ownerName(), Logger: p.log, Lease: c.Lease, Retry: c.WebhookRetry, Keep: c.WebhookRetention,
	}
	if c.WebhookCA != "" {
		const mostCA = 256 << 10
		pem, err := readBounded(c.WebhookCA, mostCA)
		if err != nil {
			return fmt.Errorf("read --webhook-ca-file: %w", err)
		}
		o.Reach.Roots = x509.NewCertPool()
		if !o.Reach.Roots.AppendCertsFromPEM(pem) {
			return misused("certificates in PEM begin with -----BEGIN CERTIFICATE-----", "--webhook-ca-file %s has no certificate", c.WebhookCA)
		}
	}
	attempts := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "provost_webhook_attempts_total", Help: "Attempts of this process to deliver events to webhooks, by result: delivered, failed.",
	}, []string{"result"})
	delivered, failed := attempts.WithLabelValues("delivered"), attempts.WithLabelValues("failed")
	o.Observe = func(ok bool) {
		if ok {
			delivered.Inc()
		} else {
			failed.Inc()
		}
	}
	p.webhooks = notify.NewWebhooks(p.store, o)
	p.metrics.registry.MustRegister(attempts, &backlog{p.store, p.log})
	return nil
}

// webhookBody is an event as it is posted: what the feed has, and the time by the name
// that Standard Webhooks gives it.
type webhookBody struct {
	openapi.Event

	Timestamp time.Time `json:"timestamp"`
}

func renderForWebhooks(ctx context.Context, r store.Reader, org store.Key, events []store.Event) ([][]byte, error) {
	list, err := admin.RenderEvents(ctx, r, org, events)
	if err != nil {
		return nil, err
	}
	bodies := make([][]byte, len(list))
	for i := range list {
		if bodies[i], err = json.Marshal(webhookBody{list[i], list[i].Time}); err != nil {
			return nil, fmt.Errorf("write event %s: %w", list[i].ID, err)
		}
	}
	return bodies, nil
}

// backlog shows how far webhooks are behind, as the database says when it is asked.
type backlog struct {
	store store.Store
	log   *slog.Logger
}

var (
	webhooksMetric = prometheus.NewDesc("provost_webhooks", "Webhooks, by state: enabled, disabled.", []string{"state"}, nil)
	pendingMetric  = prometheus.NewDesc("provost_webhook_deliveries_pending", "Deliveries to enabled webhooks that are to be tried again, or wait for one that is.", nil, nil)
	lagMetric      = prometheus.NewDesc("provost_webhook_lag_seconds", "Age of the oldest event that an enabled webhook has not got; 0 if there is none.", nil, nil)
)

// Describe names the metrics.
func (*backlog) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{webhooksMetric, pendingMetric, lagMetric} {
		to <- d
	}
}

// Collect asks the database.
func (b *backlog) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var now store.Backlog
	err := b.store.View(ctx, func(r store.Reader) (err error) {
		now, err = r.Backlog(ctx)
		return err
	})
	if err != nil { // an invalid metric would take all others away
		b.log.WarnContext(ctx, "could not look how far webhooks are behind", "error", err)
		return
	}
	lag := 0.0
	if !now.Oldest.IsZero() {
		lag = max(0, time.Since(now.Oldest).Seconds())
	}
	to <- prometheus.MustNewConstMetric(webhooksMetric, prometheus.GaugeValue, float64(now.Enabled), "enabled")
	to <- prometheus.MustNewConstMetric(webhooksMetric, prometheus.GaugeValue, float64(now.Disabled), "disabled")
	to <- prometheus.MustNewConstMetric(pendingMetric, prometheus.GaugeValue, float64(now.Pending))
	to <- prometheus.MustNewConstMetric(lagMetric, prometheus.GaugeValue, lag)
}
