package siprectest

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/greffier/greffier/siprec"
)

// Metadata describes a communication session; Marshal writes it as one RFC 7865 document. Identifiers that are not
// given are derived from Session, so that every document of one call uses the same ones.
type Metadata struct {
	Mode          siprec.DataMode // default complete
	Session       string          // session_id, base64; NewMetadata makes one
	Group         string          // group_id; none: no group
	SIPSessionIDs []string        // RFC 7989 session identifiers, or Call-IDs, of the communication session
	Start, Stop   time.Time       // zero: left out
	Participants  []Participant
	Mixed         []siprec.Label // streams that are a mix, in the element that the dialects use
	Extension     string         // raw XML put at the end of the document
}

// A Participant is one party, with the labels of the streams that it sends and receives.
type Participant struct {
	ID        string // participant_id; default derived from AOR
	AOR, Name string
	Sends     []siprec.Label
	Receives  []siprec.Label

	Associate    time.Time // default: the session's Start
	Disassociate time.Time // zero: still there
}

// NewMetadata describes a session that starts now, with a new identifier.
func NewMetadata(participants ...Participant) *Metadata {
	var id [16]byte
	rand.Read(id[:])
	return &Metadata{Session: uuid64(id), SIPSessionIDs: []string{token(16) + ";remote=" + token(16)},
		Start: time.Now(), Participants: participants}
}

// uuid64 writes a version 4 UUID in base64 (RFC 7865 section 6.10).
func uuid64(b [16]byte) string {
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return base64.StdEncoding.EncodeToString(b[:])
}

func (m *Metadata) derive(kind, name string) string {
	sum := sha256.Sum256([]byte(m.Session + "\x00" + kind + "\x00" + name))
	return uuid64([16]byte(sum[:16]))
}

// StreamID is the stream_id that the documents give to the stream with the label.
func (m *Metadata) StreamID(l siprec.Label) string { return m.derive("stream", string(l)) }

// ParticipantID is the participant_id of p in the documents.
func (m *Metadata) ParticipantID(p Participant) string {
	if p.ID != "" {
		return p.ID
	}
	return m.derive("participant", p.AOR)
}

// Marshal writes the document, elements in the order of RFC 7865's schema.
func (m *Metadata) Marshal() []byte {
	var b bytes.Buffer
	mode := m.Mode
	if mode == "" {
		mode = siprec.Complete
	}
	fmt.Fprintf(&b, "%s<recording xmlns=\"urn:ietf:params:xml:ns:recording:1\">\r\n  <datamode>%s</datamode>\r\n", xml.Header, mode)
	if m.Group != "" {
		fmt.Fprintf(&b, "  <group group_id=\"%s\">%s</group>\r\n", esc(m.Group), timeElement("associate-time", m.Start))
	}
	m.writeSession(&b)
	for _, p := range m.Participants {
		fmt.Fprintf(&b, "  <participant participant_id=\"%s\">\r\n    <nameID aor=\"%s\">", esc(m.ParticipantID(p)), esc(p.AOR))
		if p.Name != "" {
			fmt.Fprintf(&b, "<name xml:lang=\"en\">%s</name>", esc(p.Name))
		}
		b.WriteString("</nameID>\r\n  </participant>\r\n")
	}
	for _, l := range m.labels() {
		fmt.Fprintf(&b, "  <stream stream_id=\"%s\" session_id=\"%s\"><label>%s</label>", m.StreamID(l), esc(m.Session), esc(string(l)))
		if slices.Contains(m.Mixed, l) {
			b.WriteString("<mode>mixed</mode>")
		}
		b.WriteString("</stream>\r\n")
	}
	fmt.Fprintf(&b, "  <sessionrecordingassoc session_id=\"%s\">%s</sessionrecordingassoc>\r\n", esc(m.Session), timeElement("associate-time", m.Start))
	m.writeAssociations(&b)
	b.WriteString(m.Extension)
	b.WriteString("</recording>\r\n")
	return b.Bytes()
}

func (m *Metadata) writeSession(b *bytes.Buffer) {
	fmt.Fprintf(b, "  <session session_id=\"%s\">\r\n", esc(m.Session))
	for _, id := range m.SIPSessionIDs {
		fmt.Fprintf(b, "    <sipSessionID>%s</sipSessionID>\r\n", esc(id))
	}
	if m.Group != "" {
		fmt.Fprintf(b, "    <group-ref>%s</group-ref>\r\n", esc(m.Group))
	}
	fmt.Fprintf(b, "    %s%s\r\n  </session>\r\n", timeElement("start-time", m.Start), timeElement("stop-time", m.Stop))
}

func (m *Metadata) writeAssociations(b *bytes.Buffer) {
	times := func(p Participant) string {
		at := p.Associate
		if at.IsZero() {
			at = m.Start
		}
		return timeElement("associate-time", at) + timeElement("disassociate-time", p.Disassociate)
	}
	for _, p := range m.Participants {
		fmt.Fprintf(b, "  <participantsessionassoc participant_id=\"%s\" session_id=\"%s\">%s</participantsessionassoc>\r\n",
			esc(m.ParticipantID(p)), esc(m.Session), times(p))
	}
	for _, p := range m.Participants {
		fmt.Fprintf(b, "  <participantstreamassoc participant_id=\"%s\">", esc(m.ParticipantID(p)))
		for _, l := range p.Sends {
			fmt.Fprintf(b, "<send>%s</send>", m.StreamID(l))
		}
		for _, l := range p.Receives {
			fmt.Fprintf(b, "<recv>%s</recv>", m.StreamID(l))
		}
		fmt.Fprintf(b, "%s</participantstreamassoc>\r\n", times(p))
	}
}

// labels lists every label that some participant sends or receives, in order of first mention.
func (m *Metadata) labels() []siprec.Label {
	var all []siprec.Label
	add := func(ls []siprec.Label) {
		for _, l := range ls {
			if !slices.Contains(all, l) {
				all = append(all, l)
			}
		}
	}
	for _, p := range m.Participants {
		add(p.Sends)
	}
	for _, p := range m.Participants {
		add(p.Receives)
	}
	return all
}

func timeElement(name string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "<" + name + ">" + t.UTC().Format("2006-01-02T15:04:05.000Z") + "</" + name + ">"
}

func esc(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a bytes.Buffer takes everything
	return b.String()
}

// labelElement finds label elements in any namespace prefix. It works on text, so that a document that is not
// well-formed can be sent too.
var labelElement = regexp.MustCompile(`(<(?:[\w.-]+:)?label(?:\s[^>]*)?>\s*)([^<]*?)(\s*</)`)

// Labels lists the stream labels of a raw metadata document in the order of their first mention.
func Labels(raw []byte) []siprec.Label {
	var all []siprec.Label
	for _, m := range labelElement.FindAllSubmatch(raw, -1) {
		if l := siprec.Label(m[2]); !slices.Contains(all, l) {
			all = append(all, l)
		}
	}
	return all
}

// Relabel replaces the first distinct label of a raw metadata document by the first given label, and so on; labels beyond
// the given ones stay. Everything else is left as it is.
func Relabel(raw []byte, labels ...siprec.Label) []byte {
	old := Labels(raw)
	return labelElement.ReplaceAllFunc(raw, func(el []byte) []byte {
		m := labelElement.FindSubmatch(el)
		if i := slices.Index(old, siprec.Label(m[2])); i < len(labels) {
			return slices.Concat(m[1], []byte(esc(string(labels[i]))), m[3])
		}
		return el
	})
}
