package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// An example is a call flow of RFC 8068: one recording session, a step for each of the documents.
type example struct {
	section string
	steps   []string                   // numbers of the documents
	labels  []string                   // of the audio m-lines; each has a line of video beside it unless it is alone
	want    map[siprec.Label]exampleOf // by label
	warning string
	others  int // of the last documents: they concern none of the recording's calls
}

// An exampleOf is what the documents say of a stream: who sends it, from one document to another.
type exampleOf struct {
	mixed bool
	who   []presence
}

// Participants of the examples.
const (
	rfcAlice = "sip:alice@atlanta.com"
	rfcBob   = "sip:bob@biloxy.com"
	rfcCarol = "sip:carol@example.com"
)

var examples = []example{
	{section: "3.2", steps: []string{"01", "02", "03", "04", "05"}, labels: []string{"96", "98"}, warning: "snapshot-requested dangling-stream-ref", want: map[siprec.Label]exampleOf{
		"96": {who: []presence{{rfcAlice, 0, 1}, {rfcAlice, 2, 3}}}, // held, resumed, transferred away; nothing describes the streams of Carol
		"98": {who: []presence{{rfcBob, 0, 4}}},                     // the session stops
	}},
	{section: "3.2.3", steps: []string{"06", "07"}, labels: []string{"96", "98"}, others: 1, want: map[siprec.Label]exampleOf{
		// The BYE is about another session.
		"96": {who: []presence{{rfcCarol, 0, atEnd}}},
		"98": {who: []presence{{rfcBob, 0, atEnd}}},
	}},
	{section: "3.3", steps: []string{"08", "09", "10", "11", "12", "13"}, labels: []string{"96"}, warning: "ambiguous-senders", want: map[siprec.Label]exampleOf{
		"96": {mixed: true, who: []presence{{rfcAlice, 0, 1}, {rfcBob, 0, 5}, {rfcAlice, 2, 4}, {rfcCarol, 3, 5}}},
	}},
	{section: "3.5", steps: []string{"14"}, labels: []string{"96"}, warning: "ambiguous-senders", want: map[siprec.Label]exampleOf{
		"96": {mixed: true, who: []presence{{rfcAlice, 0, atEnd}, {rfcBob, 0, atEnd}, {rfcCarol, 0, atEnd}}},
	}},
}

// TestCorpusCallFlows plays the RFC's call flows: over UDP by re-INVITE, as they stand there, over TCP by UPDATE.
func TestCorpusCallFlows(t *testing.T) {
	t.Parallel()
	folder := corpus(t)
	if folder == "" {
		return
	}
	dir := t.TempDir()
	s := startOpen(t, dir)
	ctx, cancel := context.WithTimeout(t.Context(), flowPatience)
	defer cancel()
	type run struct {
		example
		network string
		docs    []string
		id      string
		err     error
	}
	var runs []*run
	var wg sync.WaitGroup
	for _, network := range []string{"udp", "tcp"} {
		src := s.src(network)
		for _, e := range examples {
			r := &run{example: e, network: network}
			for _, step := range e.steps {
				r.docs = append(r.docs, readFile(t, filepath.Join(folder, "rfc", "rfc8068-"+step+"-metadata.xml")))
			}
			runs = append(runs, r)
			wg.Go(func() { r.id, r.err = e.play(ctx, src, r.docs, network == "tcp") })
		}
	}
	wg.Wait()
	for _, r := range runs {
		t.Run(r.section+"/"+r.network, func(t *testing.T) {
			if r.err != nil {
				t.Fatal(r.err)
			}
			r.check(t, dir, r.id, r.docs)
		})
	}
	verifyGood(t, dir)
}

// stepTime is how long each state of an example lasts.
const stepTime = 400 * time.Millisecond

func (e example) play(ctx context.Context, src *siprectest.Client, docs []string, byUpdate bool) (string, error) {
	spec := siprectest.CallSpec{RawMetadata: []byte(docs[0]), Body: siprectest.Body{MetadataType: "application/rs-metadata", Boundary: "foobar"}}
	for i, label := range e.labels {
		spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: siprec.Label(label), Source: toneBursts(outsiderTones[i])})
		if len(e.labels) > 1 {
			spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: siprec.Label([]string{"97", "99"}[i]), Type: "video",
				Formats: []siprec.Format{{PayloadType: 96, Encoding: "H264", ClockRate: 90000}}})
		}
	}
	call, err := src.Invite(ctx, spec)
	if err != nil {
		return "", err
	}
	defer call.Abandon()
	for i, m := range call.Answer().Media {
		video := len(e.labels) > 1 && i%2 == 1
		if video != (m.Addr.Port() == 0) || !video && string(m.Label) != e.labels[i/len(e.labels)] {
			return "", fmt.Errorf("m-line %d of the answer: %+v", i, m)
		}
	}
	for i, doc := range docs[1:] {
		if err := pass(ctx, stepTime); err != nil {
			return "", err
		}
		change := siprectest.Change{RawMetadata: []byte(doc), Body: spec.Body}
		switch step := e.steps[i+1]; {
		case step == "07":
			return call.CallID(), call.ByeRaw(ctx, "application/rs-metadata", []byte(doc))
		case byUpdate:
			_, err = call.Update(ctx, change)
		default:
			change.NoSDP = step == "13" // an INVITE that brings nothing else: its 200 is an offer of ours
			_, err = call.ReInvite(ctx, change)
		}
		if err != nil {
			return "", fmt.Errorf("document %s: %w", e.steps[i+1], err)
		}
	}
	if err := pass(ctx, stepTime); err != nil {
		return "", err
	}
	return call.CallID(), call.Bye(ctx, nil)
}

func (e example) check(t *testing.T, dir, callID string, docs []string) {
	t.Helper()
	r := finished(t, dir, callID)
	side := sidecarOf(t, dir, r.ID)
	docs = docs[:len(docs)-e.others]
	if len(side.Metadata) != len(docs) {
		t.Fatalf("%d documents, want %d", len(side.Metadata), len(docs))
	}
	for i, m := range side.Metadata {
		if m.XML != docs[i] {
			t.Errorf("document %d is not as it came", i)
		}
	}
	at := func(doc int) int64 {
		if doc == atEnd {
			return side.Session.DurationMS
		}
		return max(0, side.Metadata[doc].At.Sub(side.Session.StartedAt).Milliseconds())
	}
	aors := map[siprec.ParticipantID]string{}
	for _, p := range side.Participants {
		aors[p.ID] = p.AOR
	}
	for _, c := range side.Channels {
		want, ok := e.want[c.Label]
		if !ok || c.Mixed != want.mixed {
			t.Errorf("label %s: mixed %v", c.Label, c.Mixed)
		}
		same := len(c.Participants) == len(want.who)
		for i := range min(len(c.Participants), len(want.who)) {
			p, w := c.Participants[i], want.who[i]
			same = same && strings.EqualFold(aors[p.Participant], w.aor) && within(p.FromMS, at(w.from), near) && within(p.ToMS, at(w.to), near)
		}
		if !same {
			t.Errorf("label %s: %+v of %v, want %+v", c.Label, c.Participants, aors, want.who)
		}
	}
	if len(side.Channels) != len(e.labels) {
		t.Errorf("%d channels", len(side.Channels))
	}
	if got := strings.Join(side.Warnings, " "); got != e.warning {
		t.Errorf("warnings %q, want %q", got, e.warning)
	}
}
