package siprectest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// TestMetadataSaysWhatWasDescribed reads our document with the vocabulary package's parser.
func TestMetadataSaysWhatWasDescribed(t *testing.T) {
	m := siprectest.NewMetadata(
		siprectest.Participant{AOR: "sip:a@example.org", Name: `A <&"> B`, Sends: []siprec.Label{"left"}, Receives: []siprec.Label{"right"}},
		siprectest.Participant{AOR: "sip:b@example.org", Sends: []siprec.Label{"right"}})
	m.Start = time.Date(2026, 5, 4, 3, 2, 1, 500e6, time.UTC)
	m.Group = "Z3JvdXA="
	doc, err := siprec.ParseMetadata(m.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if doc.DataMode != siprec.Complete || len(doc.Warnings) > 0 {
		t.Errorf("mode %q, warnings %v", doc.DataMode, doc.Warnings)
	}
	a, b := siprec.ParticipantID(m.ParticipantID(m.Participants[0])), siprec.ParticipantID(m.ParticipantID(m.Participants[1]))
	left, right := siprec.StreamID(m.StreamID("left")), siprec.StreamID(m.StreamID("right"))
	if raw, err := base64.StdEncoding.DecodeString(string(left)); err != nil || len(raw) != 16 {
		t.Errorf("stream_id %q is no UUID in base64", left)
	}
	sid := siprec.SessionID(m.Session)
	if d := cmp.Diff([]siprec.Stream{{ID: left, Session: sid, Label: "left"}, {ID: right, Session: sid, Label: "right"}}, doc.Streams); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]siprec.Participant{{ID: a, Names: []siprec.NameID{{AOR: "sip:a@example.org", Name: `A <&"> B`, Language: "en"}}}, {ID: b, Names: []siprec.NameID{{AOR: "sip:b@example.org"}}}},
		doc.Participants, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	at := siprec.Time{Time: m.Start, Raw: "2026-05-04T03:02:01.500Z"}
	want := []siprec.ParticipantStream{{Participant: a, Send: []siprec.StreamID{left}, Recv: []siprec.StreamID{right}, Associate: at}, {Participant: b, Send: []siprec.StreamID{right}, Associate: at}}
	if d := cmp.Diff(want, doc.ParticipantStreams, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if len(doc.Sessions) != 1 || doc.Sessions[0].Group != "Z3JvdXA=" || !doc.Sessions[0].Start.Time.Equal(m.Start) || len(doc.Sessions[0].SIPSessionIDs) != 1 {
		t.Errorf("sessions: %+v", doc.Sessions)
	}
}

// TestOfferIsRead reads the INVITE's body with the vocabulary package's parsers.
func TestOfferIsRead(t *testing.T) {
	u := newUAS(t, "udp")
	c, ctx := dial(t, u, siprectest.Config{}), limited(t)
	spec := siprectest.TwoParty(nil, nil)
	spec.Streams = append(spec.Streams, siprectest.StreamSpec{Label: "v", Type: "video", Formats: []siprec.Format{{PayloadType: 96, Encoding: "H264", ClockRate: 90000, Channels: 1}}, Direction: siprec.Inactive})
	if _, err := c.Invite(ctx, spec); err != nil {
		t.Fatal(err)
	}
	invite := u.wait("INVITE")
	body, err := siprec.ParseBody(invite.h.Get("Content-Type"), []byte(invite.body))
	if err != nil || body.Metadata == nil {
		t.Fatalf("body: %v, %+v", err, body)
	}
	offer, err := siprec.ParseOffer(body.SDP)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range offer.Media {
		got = append(got, m.Type+" "+string(m.Label)+" "+string(m.Direction)+" "+m.Formats[0].Encoding+" "+m.PTime.String()+" "+m.Addr.String())
	}
	want := []string{"audio 1 sendonly PCMU 20ms 127.0.0.1", "audio 2 sendonly PCMU 20ms 127.0.0.1", "video v inactive H264 0s 127.0.0.1"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestParseAnswer(t *testing.T) {
	a, err := siprectest.ParseAnswer([]byte("v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\na=recvonly\r\n" +
		"m=audio 4000 RTP/AVP 8 101\r\na=rtpmap:101 telephone-event/8000\r\na=label:x\r\na=ptime:30\r\n" +
		"m=audio 4002 RTP/AVP 0\r\nc=IN IP4 192.0.2.2\r\na=rtcp:5000 IN IP4 192.0.2.9\r\na=inactive\r\na=label:y\r\nm=video 0 RTP/AVP 96\r\n" +
		"m=audio 4004 RTP/AVP 0\r\nc=IN IP4 0.0.0.0\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	event := siprectest.TelephoneEvent
	event.Params = ""
	ap := netip.MustParseAddrPort
	want := []siprectest.AnswerMedia{
		{Label: "x", Type: "audio", Protocol: "RTP/AVP", Addr: ap("192.0.2.1:4000"), RTCP: ap("192.0.2.1:4001"), Direction: siprec.RecvOnly, Formats: []siprec.Format{siprectest.PCMA, event}, PTime: 30 * time.Millisecond},
		{Label: "y", Type: "audio", Protocol: "RTP/AVP", Addr: ap("192.0.2.2:4002"), RTCP: ap("192.0.2.2:5000"), Direction: siprec.Inactive, Formats: []siprec.Format{siprectest.PCMU}},
		{Type: "video", Protocol: "RTP/AVP", Addr: ap("192.0.2.1:0"), RTCP: ap("192.0.2.1:1"), Direction: siprec.RecvOnly, Formats: []siprec.Format{{PayloadType: 96, Channels: 1}}},
		{Type: "audio", Protocol: "RTP/AVP", Addr: ap("0.0.0.0:4004"), RTCP: ap("0.0.0.0:4005"), Direction: siprec.Inactive, Formats: []siprec.Format{siprectest.PCMU}},
	}
	if d := cmp.Diff(want, a.Media, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"", "v=0\r\n", "hello", "m=audio x RTP/AVP 0\r\n", "m=audio 4000 RTP/AVP 0\r\n", "c=IN IP4 x\r\n", "c=IN IP4 192.0.2.1\r\nm=audio 1 RTP/AVP 0\r\na=rtcp:\r\n"} {
		if a, err := siprectest.ParseAnswer([]byte(bad)); err == nil {
			t.Errorf("%q is read as %+v", bad, a)
		}
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 101\r\na=rtpmap:101 telephone-event/8000\r\na=label:1\r\na=rtcp:5\r\na=recvonly\r\n"))
	f.Add([]byte("c=IN IP6 ::1/1\nm=audio 65535 RTP/AVP 200\na=rtpmap:\na=ptime:x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if a, err := siprectest.ParseAnswer(b); err == nil && len(a.Media) == 0 {
			t.Error("an answer without media is no error")
		}
	})
}

func FuzzRelabel(f *testing.F) {
	f.Add([]byte("<a:label x='1'>1</a:label><label>2</label>"), "n")
	f.Fuzz(func(t *testing.T, raw []byte, label string) {
		labels := siprectest.Labels(raw)
		if got := siprectest.Relabel(raw); string(got) != string(raw) {
			t.Errorf("without new labels %q became %q", raw, got)
		}
		if got := siprectest.Labels(siprectest.Relabel(raw, labels...)); len(labels) != len(got) {
			// Characters that XML escapes are written escaped, but stay as many labels.
			t.Errorf("%d labels became %d", len(labels), len(got))
		}
		_ = siprectest.Relabel(raw, siprec.Label(label))
	})
}

func TestCloseEndsWhatWaits(t *testing.T) {
	u := newUAS(t, "udp")
	u.script(func(request) []string { return []string{} })
	c := dial(t, u, siprectest.Config{})
	p, err := c.Begin(context.Background(), siprectest.CallSpec{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(context.Background()); !errors.Is(err, siprectest.ErrClosed) {
		t.Errorf("waiting: %v", err)
	}
	if _, err := c.Invite(context.Background(), siprectest.CallSpec{}); !errors.Is(err, siprectest.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestDialSaysWhatIsWrong(t *testing.T) {
	ctx := limited(t)
	closed := newUAS(t, "tcp")
	closed.close()
	for name, cfg := range map[string]siprectest.Config{
		"no port":     {Server: "127.0.0.1"},
		"transport":   {Server: "127.0.0.1:5060", Transport: "sctp"},
		"not there":   {Server: closed.addr, Transport: "tcp"},
		"not our own": {Server: "127.0.0.1:5060", Local: netip.MustParseAddrPort("192.0.2.1:0")},
	} {
		if c, err := siprectest.Dial(ctx, cfg); err == nil {
			c.Close()
			t.Errorf("%s: no error", name)
		}
	}
}
