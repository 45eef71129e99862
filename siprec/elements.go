package siprec

import (
	"slices"
	"strings"
)

// fields says what to do with the children of an element, by folded name. What is not named is an extension.
type fields map[string]func(r *documentReader, e *element)

// timeField reads a time; the first element that holds one counts.
func timeField(t *Time) func(*documentReader, *element) {
	return func(r *documentReader, e *element) {
		if t.Raw != "" {
			return
		}
		parsed, warning := parseTime(e.content())
		if warning != "" {
			r.warn(warning)
		}
		*t = parsed
	}
}

func times(associate, disassociate *Time) fields {
	return fields{"associatetime": timeField(associate), "disassociatetime": timeField(disassociate)}
}

// refs reads a stream reference: text, or <id> elements, or an attribute.
func refs(list *[]StreamID) func(*documentReader, *element) {
	return func(r *documentReader, e *element) {
		found := []string{e.content(), e.attr("id", "streamid", "stream")}
		for _, c := range e.children {
			if name := fold(c.name); name == "id" || name == "streamid" {
				found = append(found, c.content())
			}
		}
		for _, id := range found {
			if id != "" {
				*list = addNew(*list, StreamID(id))
			}
		}
	}
}

// children hands each child to its field, and collects the rest as extensions of the element with the id.
func (r *documentReader) children(e *element, id string, f fields) {
	for _, c := range e.children {
		if read := f[r.core(c)]; read != nil {
			read(r, c)
		} else {
			r.extend(id, "", c)
		}
	}
}

// others collects, as extensions of the element with the id, the attributes that are not among the known ones, given folded. path is
// that of the element below it, "" for itself.
func (r *documentReader) others(e *element, id, path string, known ...string) {
	if path != "" {
		path += "/"
	}
	for _, a := range e.attrs {
		if !slices.Contains(known, fold(a.name)) {
			r.extension(id, path+"@"+a.name, a.value)
		}
	}
}

func (r *documentReader) id(e *element, names ...string) string {
	id := e.attr(names...)
	if id == "" {
		r.warn(WarnMissingID)
	}
	return id
}

func (r *documentReader) group(e *element) {
	g := Group{ID: GroupID(r.id(e, "groupid", "id"))}
	r.others(e, string(g.ID), "", "groupid", "id")
	r.children(e, string(g.ID), times(&g.Associate, &g.Disassociate))
	r.doc.Groups = append(r.doc.Groups, g)
}

func (r *documentReader) session(e *element) {
	s := Session{ID: SessionID(r.id(e, "sessionid", "id")), Group: GroupID(e.attr("groupid", "group", "groupref"))}
	r.others(e, string(s.ID), "", "sessionid", "id", "groupid", "group", "groupref")
	var associate, disassociate Time // in the session itself in early dialects
	f := times(&associate, &disassociate)
	f["starttime"], f["stoptime"] = timeField(&s.Start), timeField(&s.Stop)
	f["groupref"] = func(_ *documentReader, e *element) { s.Group = newerText(s.Group, GroupID(e.content())) }
	f["reason"] = func(r *documentReader, e *element) {
		s.Reasons = addNew(s.Reasons, readReason(e))
		r.others(e, string(s.ID), "reason", "cause", "protocol")
	}
	f["sipsessionid"] = func(_ *documentReader, e *element) {
		// Documents break the line between the two halves; neither half contains space.
		if id := strings.Join(strings.Fields(e.content()), ""); id != "" {
			s.SIPSessionIDs = addNew(s.SIPSessionIDs, id)
		}
	}
	r.children(e, string(s.ID), f)
	if s.Start.Raw == "" {
		s.Start = associate
	}
	if s.Stop.Raw == "" {
		s.Stop = disassociate
	}
	r.doc.Sessions = append(r.doc.Sessions, s)
}

func (r *documentReader) stream(e *element) {
	s := Stream{ID: StreamID(r.id(e, "streamid", "id")), Session: SessionID(e.attr("sessionid", "session"))}
	r.others(e, string(s.ID), "", "streamid", "id", "sessionid", "session")
	f := times(&s.Associate, &s.Disassociate)
	f["label"] = func(_ *documentReader, e *element) { s.Label = Label(e.content()) }
	f["mode"] = func(_ *documentReader, e *element) { s.Mixed = strings.EqualFold(e.content(), "mixed") }
	r.children(e, string(s.ID), f)
	r.doc.Streams = append(r.doc.Streams, s)
}

func participantRef(e *element) ParticipantID {
	return ParticipantID(e.attr("participantid", "participant", "id"))
}

func (r *documentReader) participant(e *element) {
	p := Participant{
		ID:      ParticipantID(r.id(e, "participantid", "id")),
		Session: SessionID(e.attr("sessionid", "session")),
	}
	r.others(e, string(p.ID), "", "participantid", "id", "sessionid", "session", "aor")
	add := func(n NameID) {
		if n != (NameID{}) {
			p.Names = addNames(p.Names, n)
		}
	}
	add(NameID{AOR: e.attr("aor")})
	name := "" // beside <aor> in early dialects
	f := times(&p.Associate, &p.Disassociate)
	f["send"], f["recv"] = refs(&p.Send), refs(&p.Recv)
	f["aor"] = func(_ *documentReader, e *element) { add(NameID{AOR: e.content()}) }
	f["name"] = func(_ *documentReader, e *element) { name = e.allText() }
	f["nameid"] = func(r *documentReader, e *element) {
		for _, n := range r.nameID(e, string(p.ID)) {
			add(n)
		}
	}
	r.children(e, string(p.ID), f)
	switch {
	case name == "":
	case len(p.Names) > 0 && p.Names[0].Name == "":
		p.Names[0].Name = name
	default:
		add(NameID{AOR: p.AOR(), Name: name})
	}
	if p.ID == "" {
		if p.AOR() == "" {
			return // nothing to know it by
		}
		p.ID = ParticipantID(p.AOR())
	}
	r.doc.Participants = append(r.doc.Participants, p)
}

// nameID reads <nameID aor="..."><name>...</name></nameID>: one NameID for each name, for it may come in several languages.
func (r *documentReader) nameID(e *element, participant string) []NameID {
	aor := e.attr("aor", "uri")
	r.others(e, participant, "nameID", "aor", "uri")
	var out []NameID
	for _, c := range e.children {
		switch fold(c.name) {
		case "name", "displayname":
			if name := c.allText(); name != "" {
				out = append(out, NameID{Name: name, Language: c.attr("lang")})
			}
		case "aor":
			if aor == "" {
				aor = c.content()
			}
		default:
			r.extend(participant, "nameID", c)
		}
	}
	if len(out) == 0 {
		return []NameID{{AOR: aor}}
	}
	for i := range out {
		out[i].AOR = aor
	}
	return out
}

// allText gives the text of the element and of those inside it: "A <b>bold</b> name" keeps all its words.
func (e *element) allText() string {
	var w strings.Builder
	e.writeText(&w)
	return strings.Join(strings.Fields(w.String()), " ")
}

func (e *element) writeText(w *strings.Builder) {
	done := 0
	for _, c := range e.children {
		w.WriteString(e.text[done:c.offset])
		c.writeText(w)
		done = c.offset
	}
	w.WriteString(e.text[done:])
}

func (r *documentReader) extension(parent, name, value string) {
	r.doc.Extensions = append(r.doc.Extensions, Extension{Parent: parent, Name: name, Value: strings.TrimSpace(value)})
}

// extend collects what an element holds that the recording vocabulary does not know. See Extension for how it is named.
func (r *documentReader) extend(parent, path string, e *element) {
	wrapper := path == "" && fold(e.name) == "extensiondata"
	if wrapper {
		if p := e.attr("parent"); p != "" {
			parent = p
		}
	} else {
		step := e.name
		if label := e.attr("label", "name"); label != "" {
			step += "[" + label + "]"
		}
		if path != "" {
			step = path + "/" + step
		}
		path = step
	}
	for _, a := range e.attrs {
		switch name := fold(a.name); {
		case name == "label" || name == "name", wrapper && (name == "id" || name == "parent"):
		case path == "":
			r.extension(parent, "@"+a.name, a.value)
		default:
			r.extension(parent, path+"/@"+a.name, a.value)
		}
	}
	if text := e.content(); path != "" && (text != "" || len(e.children) == 0) {
		r.extension(parent, path, text)
	} else if path == "" && text != "" {
		r.extension(parent, e.name, text)
	}
	for _, c := range e.children {
		r.extend(parent, path, c)
	}
}
