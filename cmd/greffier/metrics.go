package main

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/storage"
	"github.com/greffier/greffier/storage/spool"
)

// metrics counts deeds. Labels are names of the operator's own: classes, reasons, statuses; never a party.
type metrics struct {
	registry *prometheus.Registry
	events   *prometheus.CounterVec
	refusals *prometheus.CounterVec
	warnings *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greffier_events_total", Help: "Events by type, class and outcome.",
		}, []string{"event", "class", "outcome"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greffier_sip_refused_total", Help: "SIP requests that were not accepted, by status.",
		}, []string{"status"}),
		warnings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "greffier_metadata_warnings_total", Help: "Recording sessions whose first metadata had a fault, or did not fit the session description, by fault and SRC profile.",
		}, []string{"warning", "src"}),
	}
	m.registry.MustRegister(m.events, m.refusals, m.warnings, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the gauges that are read when asked for.
func (m *metrics) watch(r *recorder.Recorder, s *spool.Spool) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("greffier_sessions", "Recording sessions in progress, recorded or not.", func() float64 { _, all := r.Calls(); return float64(all) })
	gauge("greffier_sessions_recorded", "Recording sessions that are being recorded.", func() float64 { n, _ := r.Calls(); return float64(n) })
	packets := func(outcome string, f func(media.StreamStats) uint64) {
		m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "greffier_rtp_packets_total", Help: "RTP packets of ended sessions, by what became of them.", ConstLabels: prometheus.Labels{"outcome": outcome},
		}, func() float64 { return float64(f(r.Totals())) }))
	}
	packets("accepted", func(s media.StreamStats) uint64 { return s.Packets })
	packets("lost", func(s media.StreamStats) uint64 { return s.Lost })
	packets("late", func(s media.StreamStats) uint64 { return s.Late })
	packets("duplicate", func(s media.StreamStats) uint64 { return s.Duplicate })
	packets("foreign", func(s media.StreamStats) uint64 { return s.Foreign })
	packets("malformed", func(s media.StreamStats) uint64 { return s.Malformed })
	packets("unknown_payload", func(s media.StreamStats) uint64 { return s.UnknownPayload })
	packets("refused", func(s media.StreamStats) uint64 { return s.Refused })
	packets("discarded", func(s media.StreamStats) uint64 { return s.Discarded })
	packets("auth_failed", func(s media.StreamStats) uint64 { return s.AuthFailed })
	packets("replayed", func(s media.StreamStats) uint64 { return s.Replayed })
	packets("kernel_dropped", func(s media.StreamStats) uint64 { return s.KernelDrops })
	gauge("greffier_spool_recordings", "Recordings in the spool, in progress or waiting to be stored.", func() float64 {
		ids, err := s.List()
		if err != nil {
			return -1
		}
		return float64(len(ids))
	})
	gauge("greffier_store_away", "1 while the store does not do what it is asked, and recordings wait in the spool.", func() float64 {
		if r.StoreAway() {
			return 1
		}
		return 0
	})
	gauge("greffier_catalog_away", "1 while the catalog does not do what it is asked, or not in time; calls do not wait for it.", func() float64 {
		if r.CatalogAway() {
			return 1
		}
		return 0
	})
	gauge("greffier_catalog_debts", "Calls of which the catalog is still to be told.", func() float64 { return float64(r.CatalogDebts()) })
	gauge("greffier_spool_sync_errors", "Times at which the spool could not be synced to its disk.", func() float64 { return float64(s.Stats().SyncErrors) })
	gauge("greffier_spool_free_bytes", "Free space on the spool's disk.", func() float64 {
		n, err := s.Free()
		if err != nil {
			return -1
		}
		return float64(n)
	})
}

// tested adds what the store was found to be, one gauge for each level.
func (m *metrics) tested(s *selftest) {
	for _, level := range storage.Levels() {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "greffier_storage_selftest", Help: "1 for the level that the last self-test of the store found.", ConstLabels: prometheus.Labels{"level": string(level)},
		}, func() float64 {
			if s.is(level) {
				return 1
			}
			return 0
		}))
	}
}

// verified adds what the last round found. Without any there are no findings to tell of, and the time is 0.
func (m *metrics) verified(r *rounds) {
	gauge := func(name, help string, labels prometheus.Labels, f func(roundSeen) float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 {
			if last := r.last.Load(); last != nil {
				return f(*last)
			}
			return 0
		}))
	}
	gauge("greffier_verify_last_success_timestamp_seconds", "When everything was last verified to the end, whatever was found; 0: not yet.", nil, func(s roundSeen) float64 {
		return float64(s.ended.UnixMilli()) / 1000
	})
	gauge("greffier_verify_duration_seconds", "How long that took.", nil, func(s roundSeen) float64 { return s.took.Seconds() })
	for _, kind := range recorder.FindingKinds() {
		gauge("greffier_verify_findings", "What it found, by kind.", prometheus.Labels{"kind": string(kind)}, func(s roundSeen) float64 { return float64(s.findings[kind]) })
	}
}

// observe counts a deed, or a warning of one of the names that package siprec has.
func (m *metrics) observe(o recorder.Observation) {
	if o.Warning != "" {
		m.warnings.WithLabelValues(string(o.Warning), o.SRC).Inc()
		return
	}
	m.events.WithLabelValues(o.Event, o.Class, o.Outcome).Inc()
}

func (m *metrics) refused(status, count int) {
	m.refusals.WithLabelValues(strconv.Itoa(status)).Add(float64(count))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
