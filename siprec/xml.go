package siprec

import (
	"bytes"
	"strings"
	"unicode"
)

// An element is one XML element as far as recording metadata need it: names without prefix, text without markup.
type element struct {
	name     string // local name, as written
	space    string // the namespace, or "" when it has none or an undeclared prefix
	attrs    []attribute
	text     string // the element's own characters, in one piece
	children []*element

	offset     int // where in the parent's text the element stands
	parent     *element
	qname      string            // with prefix, to be matched by the end tag
	namespaces map[string]string // declared here: prefix to namespace
}

type attribute struct{ name, value string }

// attr gives the value of the first attribute that has one of the names, compared as fold does, without surrounding space.
func (e *element) attr(names ...string) string {
	for _, name := range names {
		for _, a := range e.attrs {
			if fold(a.name) == name {
				return strings.TrimSpace(a.value)
			}
		}
	}
	return ""
}

// content gives the element's characters without surrounding space.
func (e *element) content() string { return strings.TrimSpace(e.text) }

// fold makes the spellings of a name alike: dataMode and datamode, session_id and sessionId. It is called some hundred times a
// document.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// An xmlReader reads a document into elements. It is our own because what SRCs send as XML is not always XML: names with a
// bare '&' or '<', text before or after the root, ends cut off. Where encoding/xml would stop, it takes the doubtful character
// as text, notes that the document is ill-formed, and goes on. On well-formed documents it agrees with encoding/xml, which a
// fuzz test checks. Document type definitions are skipped; entities but the five of XML are never expanded.
type xmlReader struct {
	b    []byte
	pos  int
	ends map[string]int // where the last end tag of each name begins
	ill  bool           // the document is not well-formed

	root     *element
	top      *element // the open element
	depth    int
	elements int
	text     map[*element]*strings.Builder // of the open elements
	closed   bool                          // the root's end was seen
	missing  map[string]bool               // ends of markup that were looked for in vain: looking again would take quadratic time
}

// readXML gives the root element, nil when there is none. ill tells that the document is not well-formed.
func readXML(b []byte) (root *element, ill bool, err error) {
	r := xmlReader{b: b, ends: endTags(b), text: map[*element]*strings.Builder{}, missing: map[string]bool{}}
	for r.pos < len(r.b) && !r.closed {
		if r.b[r.pos] != '<' {
			err = r.characters()
		} else {
			err = r.markup()
		}
		if err != nil {
			return nil, false, err
		}
	}
	for r.top != nil { // cut off
		r.ill = true
		r.pop()
	}
	if r.closed && !onlyMisc(r.b[r.pos:]) {
		r.ill = true
	}
	return r.root, r.ill || r.root == nil, nil
}

// onlyMisc tells that nothing but space, comments and processing instructions follows the root.
func onlyMisc(b []byte) bool {
	for {
		b = bytes.TrimLeft(b, " \t\r\n")
		end := ""
		switch {
		case len(b) == 0:
			return true
		case bytes.HasPrefix(b, []byte("<!--")):
			end = "-->"
		case bytes.HasPrefix(b, []byte("<?")):
			end = "?>"
		default:
			return false
		}
		_, rest, found := bytes.Cut(b, []byte(end))
		if !found {
			return false
		}
		b = rest
	}
}

// endTags finds the last end tag of every name, so that "<Smith>" in a name can be told from an element.
func endTags(b []byte) map[string]int {
	ends := map[string]int{}
	for pos := 0; ; {
		i := bytes.Index(b[pos:], []byte("</"))
		if i < 0 {
			return ends
		}
		pos += i + 2
		if name := xmlName(b[pos:]); name != "" {
			ends[name] = pos - 2
		}
	}
}

// characters reads text up to the next '<'.
func (r *xmlReader) characters() error {
	chunk := r.b[r.pos:]
	if i := bytes.IndexByte(chunk, '<'); i >= 0 {
		chunk = chunk[:i]
	}
	r.pos += len(chunk)
	return r.addText(chunk, true)
}

// addText adds characters to the open element; entities tells whether references in them are to be resolved.
func (r *xmlReader) addText(chunk []byte, entities bool) error {
	if r.top == nil {
		if len(bytes.TrimSpace(chunk)) > 0 {
			r.ill = true
		}
		return nil
	}
	text, ok := plainText(chunk, entities)
	r.ill = r.ill || !ok
	w := r.text[r.top]
	if w.Len()+len(text) > MaxTextBytes {
		return tooMuch("bytes of text in a metadata element", MaxTextBytes)
	}
	w.WriteString(text)
	return nil
}

// markup reads what begins with '<'. What is no markup after all is the character '<'.
func (r *xmlReader) markup() error {
	rest := r.b[r.pos:]
	switch {
	case bytes.HasPrefix(rest, []byte("<?")) && r.skipPast("?>"):
		return nil
	case bytes.HasPrefix(rest, []byte("<!--")) && r.skipPast("-->"):
		return nil
	case bytes.HasPrefix(rest, []byte("<![CDATA[")) && r.skipPast("]]>"):
		data := r.b[len(r.b)-len(rest) : r.pos]
		return r.addText(data[len("<![CDATA["):len(data)-len("]]>")], false)
	case bytes.HasPrefix(rest, []byte("<!")) && r.root == nil:
		if r.skipDoctype() {
			return nil
		}
	case bytes.HasPrefix(rest, []byte("</")):
		if r.endTag() {
			return nil
		}
	default:
		if done, err := r.startTag(); done || err != nil {
			return err
		}
	}
	r.ill = true
	r.pos++
	return r.addText([]byte("<"), false)
}

// skipPast moves behind the next occurrence of end, if there is one.
func (r *xmlReader) skipPast(end string) bool {
	if r.missing[end] {
		return false
	}
	i := bytes.Index(r.b[r.pos:], []byte(end))
	if i < 0 {
		r.missing[end] = true
		return false
	}
	r.pos += i + len(end)
	return true
}

// skipDoctype passes a document type definition with its internal subset.
func (r *xmlReader) skipDoctype() bool {
	const end = "end of DOCTYPE"
	if r.missing[end] {
		return false
	}
	brackets, quote := 0, byte(0)
	for i := r.pos; i < len(r.b); i++ {
		switch c := r.b[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '<':
			brackets++
		case c == '>':
			if brackets--; brackets == 0 {
				r.pos = i + 1
				return true
			}
		}
	}
	r.missing[end] = true
	return false
}

// endTag reads "</name>" and closes the innermost open element of that name; open elements inside it end too. An end tag of
// nothing that is open is passed over.
func (r *xmlReader) endTag() bool {
	name := xmlName(r.b[r.pos+2:])
	if name == "" {
		return false
	}
	end := r.pos + 2 + len(name)
	for end < len(r.b) && isSpace(r.b[end]) {
		end++
	}
	if end == len(r.b) || r.b[end] != '>' {
		return false
	}
	r.pos = end + 1
	e := r.top
	for e != nil && e.qname != name {
		e = e.parent
	}
	if e == nil || e != r.top {
		r.ill = true
	}
	for e != nil && r.top != e.parent {
		r.pop()
	}
	return true
}

func (r *xmlReader) pop() {
	r.top.text = r.text[r.top].String()
	delete(r.text, r.top)
	r.top = r.top.parent
	r.depth--
	r.closed = r.top == nil
}

// startTag reads "<name attributes>"; done is false when it is none.
func (r *xmlReader) startTag() (done bool, err error) {
	t, ok, err := readStartTag(r.b[r.pos:])
	if !ok || err != nil {
		return false, err
	}
	prefix, local := splitName(t.name)
	if !t.empty && r.ends[t.name] <= r.pos && !isCoreName(local) {
		return false, nil // never closed, and not of our vocabulary: "Bob <Smith>" is a name
	}
	if r.elements++; r.elements > MaxXMLElements {
		return false, tooMuch("elements in the metadata", MaxXMLElements)
	}
	if r.depth++; r.depth > MaxXMLDepth {
		return false, tooMuch("metadata elements inside one another", MaxXMLDepth)
	}
	r.ill = r.ill || t.ill
	e := &element{name: local, parent: r.top, qname: t.name, namespaces: t.namespaces}
	e.space = e.lookup(prefix)
	for _, a := range t.attrs {
		_, a.name = splitName(a.name)
		e.attrs = append(e.attrs, a)
	}
	if r.top == nil {
		r.root = e
	} else {
		e.offset = r.text[r.top].Len()
		r.top.children = append(r.top.children, e)
	}
	r.pos += t.size
	r.top = e
	r.text[e] = &strings.Builder{}
	if t.empty {
		r.pop()
	}
	return true, nil
}

// lookup finds the namespace of a prefix, "" for the default one.
func (e *element) lookup(prefix string) string {
	for ; e != nil; e = e.parent {
		if space, ok := e.namespaces[prefix]; ok {
			return space
		}
	}
	return ""
}

func splitName(qname string) (prefix, local string) {
	if i := strings.IndexByte(qname, ':'); i > 0 && i < len(qname)-1 {
		return qname[:i], qname[i+1:]
	}
	return "", qname
}
