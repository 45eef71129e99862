package siprec_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/greffier/greffier/siprec"
)

var t0 = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func at(seconds int) time.Time { return t0.Add(time.Duration(seconds) * time.Second) }

// since writes a time of the tests as seconds after t0; "" for the zero time.
func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprint(t.Sub(t0).Seconds())
}

// dumpOffer writes what tests compare, a line for each m-line.
func dumpOffer(o *siprec.Offer) string {
	var w strings.Builder
	for _, m := range o.Media {
		fmt.Fprintf(&w, "media %s port=%d %s addr=%v rtcp=%v label=%s %s ptime=%v", m.Type, m.Port, m.Protocol, m.Addr, m.RTCP, m.Label, m.Direction, m.PTime)
		if m.Host != "" {
			fmt.Fprintf(&w, " host=%s", m.Host)
		}
		if m.RTCPMux {
			w.WriteString(" mux")
		}
		for _, f := range m.Formats {
			fmt.Fprintf(&w, " [%d %s/%d/%d %s]", f.PayloadType, f.Encoding, f.ClockRate, f.Channels, f.Params)
		}
		w.WriteString("\n")
	}
	return w.String()
}

// dumpMetadata writes the state after one document.
func dumpMetadata(d *siprec.Document, m *siprec.Metadata) string {
	var w strings.Builder
	fmt.Fprintf(&w, "datamode %s\n", d.DataMode)
	for _, g := range m.Groups {
		fmt.Fprintf(&w, "group %s\n", g.ID)
	}
	for _, s := range m.Sessions {
		fmt.Fprintf(&w, "session %s group=%s sip=%q start=%s stop=%s\n", s.ID, s.Group, s.SIPSessionIDs, dumpTime(s.Start), dumpTime(s.Stop))
	}
	for _, p := range m.Participants {
		fmt.Fprintf(&w, "participant %s", p.ID)
		for _, n := range p.Names {
			fmt.Fprintf(&w, " <%s> %q number=%s", n.AOR, n.Name, siprec.Number(n.AOR))
		}
		if p.Caller != nil {
			fmt.Fprintf(&w, " caller=%v", *p.Caller)
		}
		w.WriteString("\n")
	}
	for _, s := range m.Streams {
		fmt.Fprintf(&w, "stream %s session=%s label=%s mixed=%v\n", s.ID, s.Session, s.Label, s.Mixed)
	}
	for _, p := range m.Presences {
		fmt.Fprintf(&w, "presence %s on %s\n", p.Participant, p.Label)
	}
	var present []string
	for _, p := range m.Present() {
		present = append(present, string(p.ID))
	}
	fmt.Fprintf(&w, "present %s\n", strings.Join(present, " "))
	for _, x := range m.Extensions {
		fmt.Fprintf(&w, "extension of %q: %s = %q\n", x.Parent, x.Name, x.Value)
	}
	for _, warning := range m.Warnings {
		fmt.Fprintf(&w, "warning %s\n", warning)
	}
	fmt.Fprintf(&w, "callkey %s\n", m.CallKey("fallback"))
	for _, id := range m.CallIDs() {
		fmt.Fprintf(&w, "callid %s\n", id)
	}
	return w.String()
}

func dumpTime(t siprec.Time) string {
	if t.Time.IsZero() {
		return "(" + t.Raw + ")"
	}
	return t.Time.UTC().Format(time.RFC3339Nano)
}
