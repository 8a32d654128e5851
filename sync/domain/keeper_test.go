package domain_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/provost-scim/provost/internal/testenv"
	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/domain"
)

// memory is a store of domains, which does what the engines do with them.
type memory struct {
	mu       sync.Mutex
	domains  map[string]store.Domain
	events   []string
	findings []store.FindingKey
}

func (m *memory) View(_ context.Context, fn func(store.Reader) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(&transaction{memory: m})
}

func (m *memory) Update(_ context.Context, fn func(store.Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fn(&transaction{memory: m})
}

func (m *memory) domain(name string) store.Domain {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.domains[name]
}

func (m *memory) put(d store.Domain) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.domains[d.Name] = d
}

// transaction has the methods that a keeper calls, and panics for any other.
type transaction struct {
	store.Tx
	*memory
}

func (x *transaction) Domain(_ context.Context, _ store.Key, ref string) (*store.Domain, error) {
	for _, d := range x.domains {
		if d.Name == ref || string(d.ID) == ref {
			return &d, nil
		}
	}
	return nil, store.Errorf(store.CodeNotFound, "domain %q is not there", ref)
}

func (x *transaction) DomainsToCheck(_ context.Context, before time.Time, limit int) ([]store.Domain, error) {
	var due []store.Domain
	for _, d := range x.domains {
		if d.State == store.DomainVerified && d.CheckedAt.Before(before) && len(due) < limit {
			due = append(due, d)
		}
	}
	return due, nil
}

func (x *transaction) SaveDomain(_ context.Context, d *store.Domain) error {
	if d.Name == "taken.test" && d.State == store.DomainVerified {
		return store.Errorf(store.CodeUniqueness, "domain %s is verified by another organization", d.Name)
	}
	x.domains[d.Name] = *d
	return nil
}

func (x *transaction) Append(_ context.Context, events []store.Event) error {
	for _, e := range events {
		x.events = append(x.events, e.Type)
	}
	return nil
}

func (x *transaction) Open(_ context.Context, findings []store.Finding) error {
	for _, f := range findings {
		x.findings = append(x.findings, f.FindingKey)
	}
	return nil
}

func (x *transaction) Apply(_ context.Context, c *store.ChangeSet) (*store.Effects, error) {
	x.findings = slices.DeleteFunc(x.findings, func(k store.FindingKey) bool { return slices.Contains(c.Resolved, k) })
	return &store.Effects{}, nil
}

// world is a keeper at a time of its own, with DNS and one pending domain.
type world struct {
	*domain.Keeper
	store *memory
	dns   *testenv.DNSServer
	time  time.Time
}

func newWorld(t *testing.T, names ...string) *world {
	server := testenv.DNS(t)
	w := &world{store: &memory{domains: map[string]store.Domain{}}, dns: server, time: time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	for _, name := range names {
		w.store.put(store.Domain{ID: store.NewID(w.time), Org: 1, Name: name, State: store.DomainPending, Challenge: "tok"})
	}
	w.Keeper = &domain.Keeper{Store: w.store, Verifier: domain.Verifier{Resolver: server.Resolver(), Timeout: 2 * time.Second}, Now: func() time.Time { return w.time }}
	return w
}

func (w *world) publish(name string) {
	w.dns.SetTXT(domain.RecordName(name), domain.RecordValue("tok"))
}

func (w *world) pass(t *testing.T, later time.Duration) store.Domain {
	t.Helper()
	w.time = w.time.Add(later)
	if err := w.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w.store.domain("corp.test")
}

func TestADomainIsVerifiedOnceItsRecordIsPublished(t *testing.T) {
	w := newWorld(t, "corp.test")
	if _, err := w.Verify(t.Context(), 1, "corp.test", store.Cause{}); store.CodeOf(err) != store.CodeConflict {
		t.Fatalf("without a record: %v", err)
	}
	if d := w.store.domain("corp.test"); d.State != store.DomainPending || d.LastError == "" || d.Failures != 0 {
		t.Errorf("without a record: %+v", d)
	}
	w.publish("corp.test")
	d, err := w.Verify(t.Context(), 1, "corp.test", store.Cause{})
	if err != nil {
		t.Fatal(err)
	}
	if stored := w.store.domain("corp.test"); d.State != store.DomainVerified || !d.VerifiedAt.Equal(w.time) || d.LastError != "" || !cmp.Equal(*d, stored) {
		t.Errorf("returned %+v, stored %+v", d, stored)
	}
	if _, err := w.Verify(t.Context(), 1, "corp.test", store.Cause{}); err != nil {
		t.Errorf("verified again: %v", err)
	}
	if diff := cmp.Diff([]string{store.EventDomainVerified}, w.store.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestADomainOfAnotherOrganizationIsNotVerified(t *testing.T) {
	w := newWorld(t, "taken.test")
	w.publish("taken.test")
	if _, err := w.Verify(t.Context(), 1, "taken.test", store.Cause{}); store.CodeOf(err) != store.CodeUniqueness {
		t.Errorf("got %v", err)
	}
}

func verified(t *testing.T) *world {
	w := newWorld(t, "corp.test")
	w.publish("corp.test")
	if _, err := w.Verify(t.Context(), 1, "corp.test", store.Cause{}); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestThreeDaysWithoutTheRecordFailADomain(t *testing.T) {
	w := verified(t)
	w.dns.Remove(domain.RecordName("corp.test"))
	for day := 1; day <= 2; day++ {
		if d := w.pass(t, 24*time.Hour); d.State != store.DomainVerified || d.Failures != day || d.LastError == "" {
			t.Errorf("day %d: %+v", day, d)
		}
		questions := w.dns.Questions()
		if d := w.pass(t, time.Hour); d.Failures != day || w.dns.Questions() != questions {
			t.Errorf("day %d: asked again after an hour: %+v", day, d)
		}
		w.time = w.time.Add(-time.Hour)
	}
	if _, err := w.Verify(t.Context(), 1, "corp.test", store.Cause{}); err == nil {
		t.Error("verified without a record")
	}
	if d := w.store.domain("corp.test"); d.State != store.DomainVerified || d.Failures != 2 {
		t.Errorf("a person's attempt counted as a day: %+v", d)
	}
	if d := w.pass(t, 24*time.Hour); d.State != store.DomainFailed {
		t.Errorf("day 3: %+v", d)
	}
	if diff := cmp.Diff([]string{store.EventDomainVerified, store.EventDomainFailed}, w.store.events); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	lost := []store.FindingKey{{Rule: store.RuleDomainLost, Record: "corp.test"}}
	if diff := cmp.Diff(lost, w.store.findings); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}

	w.publish("corp.test")
	if d, err := w.Verify(t.Context(), 1, "corp.test", store.Cause{}); err != nil || d.State != store.DomainVerified || d.Failures != 0 {
		t.Errorf("after the record is back: %+v, %v", d, err)
	}
	if len(w.store.findings) != 0 {
		t.Errorf("still open: %v", w.store.findings)
	}
}

func TestADayWithTheRecordBeginsTheCountAnew(t *testing.T) {
	w := verified(t)
	for range 3 {
		w.dns.Remove(domain.RecordName("corp.test"))
		w.pass(t, 24*time.Hour)
		w.pass(t, 24*time.Hour)
		w.publish("corp.test")
		if d := w.pass(t, 24*time.Hour); d.State != store.DomainVerified || d.Failures != 0 || d.LastError != "" {
			t.Fatalf("got %+v", d)
		}
	}
}

func TestADomainThatWasVouchedForIsNotAskedFor(t *testing.T) {
	w := verified(t)
	d := w.store.domain("corp.test")
	d.Vouched = true
	w.store.put(d)
	w.dns.Remove(domain.RecordName("corp.test"))
	questions := w.dns.Questions()
	for range 4 {
		d = w.pass(t, 24*time.Hour)
	}
	if d.State != store.DomainVerified || d.Failures != 0 || w.dns.Questions() != questions {
		t.Errorf("got %+v after %d questions", d, w.dns.Questions()-questions)
	}
}

func TestTwoKeepersCountADayOnce(t *testing.T) {
	w := verified(t)
	w.dns.Remove(domain.RecordName("corp.test"))
	w.time = w.time.Add(24 * time.Hour)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			if err := w.Pass(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	if d := w.store.domain("corp.test"); d.Failures != 1 {
		t.Errorf("%d failures, want 1", d.Failures)
	}
}

func TestRunPassesEveryHourUntilItsContextEnds(t *testing.T) {
	w := verified(t)
	w.dns.Remove(domain.RecordName("corp.test"))
	ticks, waits := make(chan time.Time), make(chan time.Duration)
	w.After = func(d time.Duration) <-chan time.Time {
		waits <- d
		return ticks
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	if d := <-waits; d != time.Hour {
		t.Errorf("waits %v between passes", d)
	}
	w.time = w.time.Add(25 * time.Hour) // Run waits now, and reads the clock after the tick
	ticks <- w.time
	<-waits
	if d := w.store.domain("corp.test"); d.Failures != 1 {
		t.Errorf("after a day: %+v", d)
	}
	cancel()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
