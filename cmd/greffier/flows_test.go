package main

import (
	"fmt"
	"time"

	"github.com/greffier/greffier/media"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/siprectest"
)

// The parties of the flows.
const (
	alice = "sip:+33140000021@example.org"
	bob   = "sip:+33140000022@example.org"
	carol = "sip:+33140000023@example.org"
	dave  = "sip:+33140000024@example.org"
)

// aDay is when parties come and go by the clock of the clients' documents. Nobody believes it.
var aDay = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// one names a party on a line of its own, who hears the other line.
func one(aor, name string, label siprec.Label) siprectest.Participant {
	return siprectest.Participant{AOR: aor, Name: name, Sends: []siprec.Label{label}, Receives: []siprec.Label{"1", "2"}}
}

// mute names a party who is there and sends nothing.
func mute(aor, name string) siprectest.Participant {
	return siprectest.Participant{AOR: aor, Name: name, Receives: []siprec.Label{"1", "2"}}
}

// gone names a party who has left.
func gone(aor, name string) siprectest.Participant {
	return siprectest.Participant{AOR: aor, Name: name, Disassociate: aDay.Add(time.Minute)}
}

// said is a document about a session; the flows' sessions differ in their number only.
func said(session int, mode siprec.DataMode, parties ...siprectest.Participant) *siprectest.Metadata {
	m := &siprectest.Metadata{Mode: mode, Session: []string{"Zmxvdy1zZXNzaW9uLTAwMQ==", "Zmxvdy1zZXNzaW9uLTAwMg==", "Zmxvdy1zZXNzaW9uLTAwMw=="}[session-1],
		SIPSessionIDs: []string{callIDWord}, Participants: parties}
	if session > 1 {
		m.SIPSessionIDs[0] += "-" + string(rune('0'+session))
	}
	return m
}

// couple is Alice on the first line and Bob on the second.
func couple() *siprectest.Metadata {
	return said(1, siprec.Complete, one(alice, "Alice", "1"), one(bob, "Bob", "2"))
}

// throughout is who sends from the first document to the end.
func throughout(aors ...string) (out []presence) {
	for _, aor := range aors {
		out = append(out, presence{aor, 0, atEnd})
	}
	return out
}

var opening = step{how: invite, lines: both, doc: couple(), tones: tones{400, 500}, wait: phase}

var flows = []flow{
	{
		name: "lost", about: "the client dies in the middle of the call: first, because it takes longest",
		steps: []step{opening, {how: vanish}},
		want: []kept{{docs: 1, cause: siprec.EndLost, maybe: "media-missing", channels: [2]keptChannel{
			{tones: []int{400}, who: throughout(alice)},
			{tones: []int{500}, who: throughout(bob)},
		}}},
	},
	{
		name: "plain", about: "a call of two, hung up with metadata in the BYE that say so",
		steps: []step{
			opening,
			{how: bye, doc: stopped(said(1, siprec.Partial))},
		},
		want: []kept{{docs: 2, channels: [2]keptChannel{
			{tones: []int{400}, who: []presence{{alice, 0, 1}}},
			{tones: []int{500}, who: []presence{{bob, 0, 1}}},
		}}},
	},
	{
		name: "early", about: "the INVITE brings inactive m-lines and nobody who sends; media begin with a re-INVITE, as with Cisco CUBE",
		steps: []step{
			{how: invite, lines: none, doc: said(1, siprec.Complete, mute(alice, "Alice"), mute(bob, "Bob")), tones: tones{1400, 1500}, wait: phase},
			{how: reinvite, hush: true, lines: both, doc: couple(), tones: tones{400, 500}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 2, pauses: 1, gaps: [2][]media.Cause{{"inactive"}, {"inactive"}}, channels: [2]keptChannel{
			{tones: []int{400}, who: []presence{{alice, 1, atEnd}}},
			{tones: []int{500}, who: []presence{{bob, 1, atEnd}}},
		}}},
	},
	{
		name: "hold", about: "hold and resumption by a re-INVITE with the session description alone; media go on all the while",
		steps: []step{
			opening,
			{how: reinvite, lines: none, tones: tones{1400, 1500}, wait: phase},
			{how: reinvite, hush: true, lines: both, tones: tones{600, 700}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 1, pauses: 1, gaps: [2][]media.Cause{{"inactive"}, {"inactive"}}, channels: [2]keptChannel{
			{tones: []int{400, 600}, who: throughout(alice)},
			{tones: []int{500, 700}, who: throughout(bob)},
		}}},
	},
	{
		name: "hold-address", about: "hold by the address 0.0.0.0, as with BroadWorks and Metaswitch",
		steps: []step{
			opening,
			{how: reinvite, lines: both, zero: true, tones: tones{1400, 1500}, wait: phase},
			{how: reinvite, hush: true, lines: both, tones: tones{600, 700}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 1, pauses: 1, gaps: [2][]media.Cause{{"inactive"}, {"inactive"}}, channels: [2]keptChannel{
			{tones: []int{400, 600}, who: throughout(alice)},
			{tones: []int{500, 700}, who: throughout(bob)},
		}}},
	},
	{
		name: "hold-one", about: "one party is put on hold by an inactive m-line, and by UPDATE; the other goes on",
		steps: []step{
			opening,
			{how: update, lines: second, tones: tones{1400, 700}, wait: phase},
			{how: update, hush: true, lines: both, tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 1, gaps: [2][]media.Cause{{"inactive"}}, channels: [2]keptChannel{
			{tones: []int{400, 800}, who: throughout(alice)},
			{tones: []int{500, 700, 900}, who: throughout(bob)},
		}}},
	},
	{
		name: "hold-told", about: "hold by metadata that leave Alice's stream out, resumption by metadata that name it; her media stop meanwhile",
		steps: []step{
			opening,
			{how: reinvite, lines: both, doc: said(1, siprec.Partial, mute(alice, "Alice"), one(bob, "Bob", "2")), tones: tones{0, 700}, wait: phase},
			{how: reinvite, lines: both, doc: said(1, siprec.Partial, one(alice, "Alice", "1")), tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 3, gaps: [2][]media.Cause{{notSent}}, channels: [2]keptChannel{
			{tones: []int{400, 800}, who: []presence{{alice, 0, 1}, {alice, 2, atEnd}}},
			{tones: []int{500, 700, 900}, who: throughout(bob)},
		}}},
	},
	{
		name: "hold-heard", about: "the same by UPDATE with a complete document, and media go on: music on hold, which nobody of the call sends",
		steps: []step{
			opening,
			{how: update, doc: said(1, siprec.Complete, mute(alice, "Alice"), one(bob, "Bob", "2")), tones: tones{600, 700}, wait: phase},
			{how: update, doc: couple(), tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 3, channels: [2]keptChannel{
			{tones: []int{400, 600, 800}, who: []presence{{alice, 0, 1}, {alice, 2, atEnd}}},
			{tones: []int{500, 700, 900}, who: throughout(bob)},
		}}},
	},
	{
		name: "transfer", about: "attended transfer (RFC 8068 section 3.2): Bob leaves and Carol comes on his line in one re-INVITE",
		steps: []step{
			opening,
			{how: reinvite, lines: both, doc: said(1, siprec.Partial, gone(bob, "Bob"), one(carol, "Carol", "2")), tones: tones{600, 700}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 2, channels: [2]keptChannel{
			{tones: []int{400, 600}, who: throughout(alice)},
			{tones: []int{500, 700}, who: []presence{{bob, 0, 1}, {carol, 1, atEnd}}},
		}}},
	},
	{
		name: "blind", about: "blind transfer: an UPDATE says that Bob has left, the line rests, and a re-INVITE brings Carol",
		steps: []step{
			opening,
			{how: update, doc: said(1, siprec.Partial, gone(bob, "Bob")), tones: tones{600, 0}, wait: phase},
			{how: reinvite, lines: both, doc: said(1, siprec.Complete, one(alice, "Alice", "1"), one(carol, "Carol", "2")), tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 3, gaps: [2][]media.Cause{nil, {notSent}}, channels: [2]keptChannel{
			{tones: []int{400, 600, 800}, who: throughout(alice)},
			{tones: []int{500, 900}, who: []presence{{bob, 0, 1}, {carol, 2, atEnd}}},
		}}},
	},
	{
		name: "conference", about: "a call of two becomes a conference of four, whose other members share the second line; two leave",
		steps: []step{
			opening,
			{how: update, doc: said(1, siprec.Complete, one(alice, "Alice", "1"), one(bob, "Bob", "2"), one(carol, "Carol", "2")), tones: tones{600, 700}, wait: phase},
			{how: reinvite, lines: both, doc: said(1, siprec.Complete, one(alice, "Alice", "1"), one(bob, "Bob", "2"), one(carol, "Carol", "2"), one(dave, "Dave", "2")),
				tones: tones{800, 900}, wait: phase},
			{how: update, doc: said(1, siprec.Partial, gone(bob, "Bob"), gone(carol, "Carol")), tones: tones{1000, 1100}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 4, warnings: []string{"ambiguous-senders"}, channels: [2]keptChannel{
			{tones: []int{400, 600, 800, 1000}, who: throughout(alice)},
			{tones: []int{500, 700, 900, 1100}, mixed: true, who: []presence{{bob, 0, 3}, {carol, 1, 3}, {dave, 2, atEnd}}},
		}}},
	},
	{
		name: "partial", about: "the callee is a stand-in until a partial UPDATE says who answered, as with Avaya's SBC, and another how he is called",
		steps: []step{
			{how: invite, lines: both, doc: said(1, siprec.Complete, one(alice, "Alice", "1"), called("sip:standin@example.org", "SBC")), tones: tones{400, 500}, wait: phase},
			{how: update, doc: said(1, siprec.Partial, called(bob, "Bob")), tones: tones{600, 700}, wait: phase},
			{how: update, doc: said(1, siprec.Partial, called(bob, "Robert")), tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 3, names: map[string]string{bob: "Robert"}, channels: [2]keptChannel{
			{tones: []int{400, 600, 800}, who: throughout(alice)},
			{tones: []int{500, 700, 900}, who: []presence{{bob, 0, 1}, {bob, 1, atEnd}}}, // one participant, whose address changes
		}}},
	},
	{
		name: "refresh", about: "a re-INVITE with the session description alone, and an UPDATE with nothing, change nothing",
		steps: []step{
			opening,
			{how: reinvite, lines: both, tones: tones{600, 700}, wait: phase},
			{how: update, tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 1, channels: [2]keptChannel{
			{tones: []int{400, 600, 800}, who: throughout(alice)},
			{tones: []int{500, 700, 900}, who: throughout(bob)},
		}}},
	},
	{
		name: "timer", about: "session timer (RFC 4028): an interval that is too short is refused, the next one is taken and refreshed by the client",
		steps: []step{
			{how: invite, lines: both, doc: couple(), headers: expires(60), status: 422, answer: "Min-SE: 90"},
			{how: invite, lines: both, doc: couple(), headers: expires(90), answer: "Session-Expires: 90;refresher=uac", tones: tones{400, 500}, wait: phase},
			{how: update, headers: expires(90), answer: "Session-Expires: 90;refresher=uac", tones: tones{600, 700}, wait: phase},
			{how: update, headers: expires(89), status: 422, answer: "Min-SE: 90"},
			{how: reinvite, lines: both, headers: expires(90), answer: "Require: timer", tones: tones{800, 900}, wait: phase},
			{how: bye},
		},
		want: []kept{{docs: 1, channels: [2]keptChannel{
			{tones: []int{400, 600, 800}, who: throughout(alice)},
			{tones: []int{500, 700, 900}, who: throughout(bob)},
		}}},
	},
}

// called names the callee, who keeps an identifier whoever it is.
func called(aor, name string) siprectest.Participant {
	p := one(aor, name, "2")
	p.ID = "Zmxvdy1jYWxsZWUtMDAwMQ=="
	return p
}

// stopped says that the session of a document is over.
func stopped(m *siprectest.Metadata) *siprectest.Metadata {
	m.Stop = aDay.Add(time.Hour)
	return m
}

// expires asks for a session timer that the client refreshes.
func expires(seconds int) []siprectest.Header {
	return []siprectest.Header{{Name: "Supported", Value: "timer"}, {Name: "Session-Expires", Value: fmt.Sprintf("%d;refresher=uac", seconds)}}
}
