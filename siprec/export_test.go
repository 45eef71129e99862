package siprec

import "strings"

// OutlineXML reads a document with our reader and writes its elements, for a comparison with another reader.
func OutlineXML(b []byte) (outline string, wellFormed bool, err error) {
	root, ill, err := readXML(b)
	if root == nil || err != nil {
		return "", false, err
	}
	var w strings.Builder
	outlineElement(&w, root)
	return w.String(), !ill, nil
}

func outlineElement(w *strings.Builder, e *element) {
	w.WriteString("<{" + e.space + "}" + e.name)
	for _, a := range e.attrs {
		w.WriteString(" " + a.name + "=" + a.value)
	}
	w.WriteString(">" + e.text)
	for _, c := range e.children {
		outlineElement(w, c)
	}
	w.WriteString("</>")
}
