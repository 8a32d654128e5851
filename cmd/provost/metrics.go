package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// metrics are what /metrics shows, besides the process and the Go runtime.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	busy     prometheus.Gauge
	refused  prometheus.Counter
	limited  *prometheus.CounterVec
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
	m.registry.MustRegister(m.requests, m.seconds, m.busy, m.refused, m.limited, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
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

// restTopics are the first steps of REST paths, which are routed by another echo
// and so have no pattern of ours.
var restTopics = map[string]bool{
	"organizations": true, "directories": true, "runs": true, "tokens": true, "domains": true,
	"users": true, "groups": true, "events": true, "findings": true, "openapi.json": true,
}

// routeLabel names a route for a metric: a pattern, never a client's own text.
func routeLabel(pattern, path string) string {
	if rest, ok := strings.CutPrefix(path, restPrefix); ok {
		topic, _, _ := strings.Cut(rest, "/")
		if restTopics[topic] {
			return restPrefix + topic
		}
		return restPrefix
	}
	if pattern == "" {
		return "none"
	}
	return pattern
}
