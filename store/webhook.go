package store

import (
	"context"
	"time"
)

// Webhook is one endpoint to which an organization's events are sent. It has a place in
// the log, as a reader of the feed has; what comes before it is delivered, or has a
// [Delivery] that is pending.
type Webhook struct {
	Key            Key
	ID             ID
	Org            Key
	Name           string
	URL            string
	Types          []string // as in [EventQuery]; nil: all
	Enabled        bool
	DisabledReason string // in words
	DisabledAt     time.Time
	Secret         []byte // sealed, as is the one before it
	OldSecret      []byte
	OldSecretUntil time.Time // until then both sign
	Cursor         int64
	FailingSince   time.Time // the first failure after which nothing was delivered; zero: none
	Failures       int       // deliveries in a row that failed at their first attempt
	RetryAt        time.Time // until then nothing is sent; zero: at once
	Revision       int64     // raised by each change that a person makes
	CreatedAt      time.Time
	UpdatedAt      time.Time
	Fence          int64 // raised whenever a worker takes it, and whenever its place is moved
}

// DeliveryState is what became of an event at an endpoint.
type DeliveryState string

// The states. A delivery that was never tried may be pending: it is behind another one
// of the same resource.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryDropped   DeliveryState = "dropped" // the place of the endpoint was moved
)

// Delivery is one event for one endpoint. It holds no payload: that is made of the
// event when it is sent.
type Delivery struct {
	Key           Key
	ID            ID // made by SaveDeliveries when empty
	Org           Key
	Webhook       Key
	Cursor        int64 // of the event
	Event         ID
	Type          string
	Resource      ID
	State         DeliveryState
	Attempts      int
	NextAttemptAt time.Time // zero when it is done
	Since         time.Time // of the first attempt of those that count for giving up
	CreatedAt     time.Time
	EndedAt       time.Time
	Tries         []Attempt // the last [KeptAttempts], the oldest first
}

// KeptAttempts is how many attempts of a delivery are kept.
const KeptAttempts = 10

// Attempt is one request to an endpoint.
type Attempt struct {
	At       time.Time `json:"at"`
	Status   int       `json:"status,omitempty"` // of HTTP; 0: there was no answer
	Millis   int64     `json:"millis"`           // how long it took
	Error    string    `json:"error,omitempty"`
	Response string    `json:"response,omitempty"` // the beginning of the body
}

// Ended reports whether the endpoint has taken what was sent.
func (a *Attempt) Ended() bool { return a.Status >= 200 && a.Status < 300 }

// WebhookQuery selects endpoints of one organization.
type WebhookQuery struct {
	Org   Key
	After string // the folded name of the last one seen
	Limit int
}

// DeliveryQuery selects deliveries of one endpoint, the last events first.
type DeliveryQuery struct {
	Org, Webhook Key
	State        DeliveryState // "": all
	Before       int64         // only of events before this cursor; 0: from the end
	Limit        int
}

// Pass is what a worker did for one endpoint.
type Pass struct {
	Webhook      Key
	Fence        int64
	Now          time.Time
	Cursor       int64 // how far the log was read
	FailingSince time.Time
	Failures     int
	RetryAt      time.Time
	Deliveries   []Delivery // new ones, and pending ones as they are now
	Recovered    bool       // all that is pending is due now
	Disable      string     // why nothing more is sent; "": it goes on
	Release      bool       // ends the lease
}

// Backlog is how far webhooks are behind, of all organizations.
type Backlog struct {
	Enabled, Disabled int       // endpoints
	Pending           int       // deliveries, of enabled endpoints
	Oldest            time.Time // of the events that an enabled endpoint has not got; zero: none
}

// WebhookReader reads endpoints and what was delivered to them.
type WebhookReader interface {
	WebhookPage(ctx context.Context, q WebhookQuery) (Page[Webhook], error) // by folded name
	Webhook(ctx context.Context, org Key, ref string) (*Webhook, error)
	WebhookByKey(ctx context.Context, key Key) (*Webhook, error)
	Deliveries(ctx context.Context, q DeliveryQuery) ([]Delivery, error)
	Delivery(ctx context.Context, org, webhook Key, id ID) (*Delivery, error)
	// DueDeliveries returns pending deliveries of an endpoint in the order of their
	// events: of resources whose first pending delivery is due at now.
	DueDeliveries(ctx context.Context, webhook Key, now time.Time, limit int) ([]Delivery, error)
	// PendingDeliveries counts those of an endpoint, and says which of the resources have
	// any.
	PendingDeliveries(ctx context.Context, webhook Key, resources []ID) (n int, held map[ID]bool, err error)
	// EventsAt returns an organization's events with these cursors.
	EventsAt(ctx context.Context, org Key, cursors []int64) ([]Event, error)
	// WebhookAgenda says when there is something to do. ready: there is at now. none: no
	// endpoint is enabled.
	WebhookAgenda(ctx context.Context, now time.Time) (a Agenda, ready, none bool, err error)
	Backlog(ctx context.Context) (Backlog, error)
}

// WebhookWriter changes endpoints. Whoever claims one holds it by a lease.
type WebhookWriter interface {
	CreateWebhook(ctx context.Context, w *Webhook) error // a taken name is [CodeUniqueness]
	// UpdateWebhook writes what a person may change: [CodeStale] unless Revision is the
	// stored one, which it raises.
	UpdateWebhook(ctx context.Context, w *Webhook) error
	// MoveWebhook lets an endpoint go on after a cursor, and drops what is pending. A
	// worker that has it loses it.
	MoveWebhook(ctx context.Context, org, webhook Key, cursor int64, now time.Time) error
	// EnableWebhook makes what is pending due at now, as if it had never been tried.
	EnableWebhook(ctx context.Context, org, webhook Key, now time.Time) error
	// DeleteWebhook hides the endpoint; PurgeWebhooks deletes its rows.
	DeleteWebhook(ctx context.Context, org, webhook Key, now time.Time) error
	// Redeliver makes a delivery pending and due at now.
	Redeliver(ctx context.Context, org, webhook Key, id ID, now time.Time) error

	// ClaimWebhooks takes enabled endpoints that nobody holds and for which there is
	// something to do at now, and raises their fences.
	ClaimWebhooks(ctx context.Context, owner string, lease time.Duration, now time.Time, limit int) ([]Webhook, error)
	RenewWebhooks(ctx context.Context, owner string, keys []Key, lease time.Duration) error
	ReleaseWebhooks(ctx context.Context, owner string) error
	// SavePass writes what a worker did; it fails with [CodeStale] when the endpoint is
	// not its any more.
	SavePass(ctx context.Context, p *Pass) error
	// PurgeWebhooks deletes at most about limit deliveries that are done and were created
	// before a time, or whose endpoint was deleted, and returns how many.
	PurgeWebhooks(ctx context.Context, before time.Time, limit int) (n int, err error)
}
