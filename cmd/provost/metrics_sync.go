package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/provost-scim/provost/store"
)

// syncMetrics count what the runs of this process came to. Those of other replicas are
// counted there.
type syncMetrics struct {
	runs    *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	records *prometheus.CounterVec
}

func newSyncMetrics(registry *prometheus.Registry) *syncMetrics {
	of := []string{"organization", "directory"}
	m := &syncMetrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "provost_sync_runs_total", Help: "Runs that this process has worked, by what they came to: planned, held, succeeded, failed.",
		}, append(of, "state")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "provost_sync_run_seconds", Help: "How long runs that succeeded or failed took, without the time for which they waited for a person.",
			Buckets: []float64{.1, .5, 1, 5, 15, 60, 300, 900, 3600, 4 * 3600},
		}, of),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "provost_sync_records_total", Help: "Users and groups of runs that succeeded, by what became of them; what stayed as it was is not counted.",
		}, append(of, "type", "outcome")),
	}
	registry.MustRegister(m.runs, m.seconds, m.records)
	return m
}

// observe counts a run that has come to rest.
func (m *syncMetrics) observe(organization string, run *store.Run) {
	m.runs.WithLabelValues(organization, run.DirectoryName, string(run.State)).Inc()
	if run.State != store.RunSucceeded && run.State != store.RunFailed {
		return
	}
	var worked float64
	for _, phase := range run.Phases {
		if phase.Phase != store.PhaseReady && phase.Phase != store.PhaseQueued {
			worked += phase.Seconds
		}
	}
	m.seconds.WithLabelValues(organization, run.DirectoryName).Observe(worked)
	if run.State != store.RunSucceeded {
		return
	}
	for kind, counts := range map[store.Kind]store.Counts{store.KindUser: run.Counts.Users, store.KindGroup: run.Counts.Groups} {
		for outcome, n := range map[store.Outcome]int{
			store.Created: counts.Created, store.Modified: counts.Modified, store.Deactivated: counts.Deactivated, store.Deleted: counts.Deleted,
			store.Duplicated: counts.Duplicated, store.Refused: counts.Refused, store.Claimed: counts.Claimed, store.Restored: counts.Restored,
			store.LeftScope: counts.OutOfScope,
		} {
			m.records.WithLabelValues(organization, run.DirectoryName, string(kind), string(outcome)).Add(float64(n))
		}
	}
}

// countRun is told by the engine that a run has come to rest.
func (p *program) countRun(run *store.Run) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	var o *store.Organization
	err := p.store.View(ctx, func(r store.Reader) (err error) {
		o, err = r.OrganizationByKey(ctx, run.Org)
		return err
	})
	if err != nil {
		p.log.WarnContext(ctx, "could not count a run", "run", run.ID, "error", err)
		return
	}
	p.metrics.syncs.observe(o.Name, run)
}

// collectTime is how long the database may take to answer for /metrics.
const collectTime = 5 * time.Second

// standing shows what the database says when it is asked, of whatever replica did it.
type standing struct {
	store store.Store
	log   *slog.Logger
}

var (
	syncedMetric = prometheus.NewDesc("provost_directory_synced_timestamp_seconds",
		"When a pull of the directory last succeeded or a push to it was last accepted; 0 if never.", []string{"organization", "directory", "kind"}, nil)
	ageMetric = prometheus.NewDesc("provost_directory_synced_age_seconds",
		"How long ago that was; absent if never.", []string{"organization", "directory", "kind"}, nil)
	heldMetric = prometheus.NewDesc("provost_sync_held_runs",
		"Runs that wait for a person to approve or discard them.", []string{"organization", "directory"}, nil)
)

// Describe names the metrics.
func (*standing) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{syncedMetric, ageMetric, heldMetric} {
		to <- d
	}
}

// Collect asks how all directories stand.
func (s *standing) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTime)
	defer cancel()
	var states []store.DirectoryState
	err := s.store.View(ctx, func(r store.Reader) (err error) {
		states, err = r.DirectoryStates(ctx)
		return err
	})
	if err != nil { // an invalid metric would take all others away
		s.log.WarnContext(ctx, "could not ask how directories stand", "error", err)
		return
	}
	for i := range states {
		d := &states[i]
		synced := 0.0
		if !d.SyncedAt.IsZero() {
			synced = float64(d.SyncedAt.UnixMilli()) / 1000
			to <- prometheus.MustNewConstMetric(ageMetric, prometheus.GaugeValue, max(0, time.Since(d.SyncedAt).Seconds()), d.Organization, d.Directory, string(d.Kind))
		}
		to <- prometheus.MustNewConstMetric(syncedMetric, prometheus.GaugeValue, synced, d.Organization, d.Directory, string(d.Kind))
		if d.Kind == store.DirectoryLDAP {
			to <- prometheus.MustNewConstMetric(heldMetric, prometheus.GaugeValue, float64(d.Held), d.Organization, d.Directory)
		}
	}
}
