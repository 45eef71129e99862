package siprec_test

import (
	"bytes"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/greffier/greffier/siprec"
)

// outlineByOther writes the elements of a document as encoding/xml sees them. ok is false when that finds the document ill-formed,
// or when the document uses what the two readers treat differently on purpose: entities of its own, undeclared prefixes, colons at odd places.
func outlineByOther(b []byte) (outline string, ok bool) {
	type node struct {
		open, text string
		children   []*node
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return bytes.NewReader(nil), io.ErrUnexpectedEOF }
	root := &node{}
	stack := []*node{root}
	declared := map[string]bool{"": true}
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			return "", false
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			open := ""
			for _, a := range token.Attr {
				switch {
				case a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns":
					if strings.Contains(a.Name.Local, ":") || a.Value != strings.TrimSpace(a.Value) {
						return "", false
					}
					declared[a.Value] = true
				case strings.Contains(a.Name.Local, ":"), strings.HasPrefix(a.Name.Local, "xmlns"), a.Name.Space == "xmlns":
					return "", false
				default:
					open += " " + a.Name.Local + "=" + a.Value
				}
			}
			if !declared[token.Name.Space] || strings.Contains(token.Name.Local, ":") {
				return "", false
			}
			n := &node{open: "<{" + token.Name.Space + "}" + token.Name.Local + open + ">"}
			top.children = append(top.children, n)
			stack = append(stack, n)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(token)
			if len(stack) == 1 && len(bytes.TrimSpace(token)) > 0 {
				return "", false
			}
		}
	}
	if len(root.children) != 1 {
		return "", false
	}
	var write func(n *node) string
	write = func(n *node) string {
		s := n.open + n.text
		for _, c := range n.children {
			s += write(c)
		}
		return s + "</>"
	}
	return write(root.children[0]), true
}

// checkAgainstOther fails when our reader disagrees with encoding/xml on a document that the latter takes.
func checkAgainstOther(t *testing.T, b []byte) {
	t.Helper()
	if !utf8.Valid(b) || bytes.HasPrefix(b, []byte("\ufeff")) {
		return // converted before
	}
	want, ok := outlineByOther(b)
	if !ok {
		return
	}
	got, wellFormed, err := siprec.OutlineXML(b)
	if err != nil {
		return // over a limit, which the other reader does not have
	}
	if !wellFormed {
		return // we may be stricter, as in what may follow the root
	}
	if got != want {
		t.Errorf("two readers disagree on %q:\nours  %q\nother %q", b, got, want)
	}
}

func TestXMLReadersAgree(t *testing.T) {
	for _, document := range []string{
		twoParties,
		`<?xml version="1.0"?><!DOCTYPE a [<!ELEMENT a (b)>]><a x="1" y='2"'><b/>t&amp;u<![CDATA[<&]]><!-- c -->v<?p i?>w</a>`,
		"<a xmlns='urn:a' xmlns:b='urn:b'><b:c d='&#65;&quot;\r\n'/>\r\n<c xmlns=''>\rx</c></a >",
		"<a.b-c_d>é</a.b-c_d>",
	} {
		want, ok := outlineByOther([]byte(document))
		got, wellFormed, err := siprec.OutlineXML([]byte(document))
		if !ok || !wellFormed || err != nil || got != want {
			t.Errorf("two readers disagree on %q (%v, %v, %v):\nours  %q\nother %q", document, ok, wellFormed, err, got, want)
		}
	}
}
