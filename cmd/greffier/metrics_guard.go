package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"time"

	"github.com/greffier/greffier/siprec/srs"
)

// guardMetrics tell what is refused for want of something, and of what there is.
type guardMetrics struct{ causes *prometheus.CounterVec }

// guard adds what the admission and the SIP side know.
func (m *metrics) guard(a *admission) *guardMetrics {
	g := &guardMetrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "greffier_refused_causes_total", Help: "SIP messages refused for a limit or state of ours, or for what they are, by cause.",
	}, []string{"cause"})}
	m.registry.MustRegister(g.causes)
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f))
	}
	for c := range causes {
		gauge("greffier_refusing", "Whether new sessions are refused now, by cause.", prometheus.Labels{"cause": string(c)}, func() float64 {
			if a.refuses(c) {
				return 1
			}
			return 0
		})
	}
	gauge("greffier_media_drain_late_seconds", "By how much media were taken late at most, in the last seconds.", nil, func() float64 { return a.load().late.Seconds() })
	gauge("greffier_cpu_busy_ratio", "Share of the processors' time that was used in the last seconds; -1: not known.", nil, func() float64 {
		if l := a.load(); l.known {
			return l.busy
		}
		return -1
	})
	gauge("greffier_media_ports_free", "Pairs of RTP and RTCP ports that are free; -1: the system chooses them.", nil, func() float64 {
		if n, bounded := a.ports(); bounded {
			return float64(n)
		}
		return -1
	})
	gauge("greffier_spool_backlog_bytes", "Bytes in the spool of recordings that have ended and wait to be stored.", nil, func() float64 { return float64(a.load().waiting.Bytes) })
	gauge("greffier_spool_oldest_seconds", "How long the recording that has waited longest to be stored has waited; 0: none waits.", nil, func() float64 {
		if oldest := a.load().waiting.Oldest; !oldest.IsZero() {
			return time.Since(oldest).Seconds()
		}
		return 0
	})
	return g
}

// refused counts a refusal that names its cause.
func (g *guardMetrics) refused(r srs.Refused) {
	if r.Cause != "" {
		g.causes.WithLabelValues(r.Cause).Add(float64(r.Count))
	}
}
