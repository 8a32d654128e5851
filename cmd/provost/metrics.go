package main

import (
	"log/slog"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/provost-scim/provost/store/gormstore"
)

// metrics are what /metrics shows, besides the process and the Go runtime.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	busy     prometheus.Gauge
	refused  prometheus.Counter
	limited  *prometheus.CounterVec
	syncs    *syncMetrics
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "provost_http_requests_total", Help: "Requests answered, by route, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "provost_http_request_seconds", Help: "How long requests took, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route"}),
		busy: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "provost_http_requests_in_flight", Help: "Requests being served.",
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "provost_http_requests_refused_total", Help: "Requests answered 503 because too many were being served.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "provost_scim_requests_limited_total", Help: "SCIM requests answered 429 because of the rate limit of their directory, by its id.",
		}, []string{"directory"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "provost_build_info", Help: "1, with the version of the program.", ConstLabels: prometheus.Labels{"version": versionText()},
	})
	build.Set(1)
	m.syncs = newSyncMetrics(m.registry)
	m.registry.MustRegister(m.requests, m.seconds, m.busy, m.refused, m.limited, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds what the database says when it is asked, and how its connections are used.
func (m *metrics) watch(s *gormstore.Store, log *slog.Logger) {
	m.registry.MustRegister(&standing{s, log}, &outbox{s, log})
	for name, pool := range s.Pools() {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
}

func (m *metrics) observe(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, knownMethod(method), strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

// knownMethod keeps clients from making up label values.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS":
		return method
	default:
		return "other"
	}
}
