package srs

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// newParser gives sipgo's parser, made forgiving. By itself it drops a whole message without an answer, and over TCP
// closes the connection with every other dialog on it, when one header field cannot be read. Here such a field stays in the
// message as plain text, and the request is answered with 400 if the field was needed.
func newParser() *sip.Parser {
	parsers := maps.Clone(sip.DefaultHeadersParser())
	for name, parse := range parsers {
		parsers[name] = forgiving(parse)
	}
	for _, name := range []string{"contact", "m"} {
		parsers[name] = forgiving(repairing(sip.DefaultHeadersParser()[name]))
	}
	for _, name := range []string{"from", "f", "to", "t"} {
		parsers[name] = forgiving(tidying(single(sip.DefaultHeadersParser()[name])))
	}
	for _, name := range []string{"via", "v", "contact", "m"} {
		parsers[name] = tidying(parsers[name])
	}
	p := sip.NewParser(sip.WithHeadersParsers(parsers))
	p.MaxMessageLength = maxMessage
	return p
}

// forgiving turns a field that cannot be read, or that makes the parser panic, into a plain one.
func forgiving(parse sip.HeaderParser) sip.HeaderParser {
	return func(name []byte, text string) (h sip.Header, err error) {
		defer func() {
			if recover() != nil {
				h, err = sip.NewHeader(string(name), text), nil
			}
		}()
		h, err = parse(name, text)
		if err == nil || isComma(err) {
			return h, err
		}
		return sip.NewHeader(string(name), text), nil
	}
}

// isComma tells whether a header parser's error means "there is another value after the comma". Its type is not exported.
func isComma(err error) bool { return err.Error() == "comma detected" }

// single is for fields that are no lists: a comma outside of quotes makes them unreadable.
func single(parse sip.HeaderParser) sip.HeaderParser {
	return func(name []byte, text string) (sip.Header, error) {
		h, err := parse(name, text)
		if err != nil && isComma(err) {
			return nil, errors.New("a comma in a field that is no list")
		}
		return h, err
	}
}

// tidying takes white space around the separators of parameters, which the grammar allows (RFC 3261 section 25.1) and sipgo makes
// a part of names and values. A list is left as it is: sipgo counts its characters.
func tidying(parse sip.HeaderParser) sip.HeaderParser {
	return func(name []byte, text string) (sip.Header, error) {
		if tidied := tidy(text); tidied != text {
			if h, err := parse(name, tidied); err == nil {
				return h, nil
			}
		}
		return parse(name, text)
	}
}

func tidy(text string) string {
	separator := func(c byte) bool { return c == ';' || c == '=' || c == '/' }
	blank := func(c byte) bool { return c == ' ' || c == '\t' }
	var b strings.Builder
	quoted, bracket := false, false
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case quoted && c == '\\' && i+1 < len(text):
			b.WriteByte(c)
			i++
			c = text[i]
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<' || c == '>':
			bracket = c == '<'
		case blank(c) && !bracket:
			next := i
			for next < len(text) && blank(text[next]) {
				next++
			}
			if next == len(text) || separator(text[next]) || i > 0 && separator(text[i-1]) {
				i = next - 1
				continue
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// restarted gives a request whose start line cannot be read another one that can, so that it can be answered; with the status
// that says what is wrong with it. False when even the method cannot be found.
func restarted(data []byte) (out []byte, status int, ok bool) {
	line, rest, ok := bytes.Cut(data, []byte("\r\n"))
	words := strings.Fields(string(line))
	if !ok || len(words) < 3 || !strings.HasPrefix(strings.ToUpper(words[len(words)-1]), "SIP/") || !isToken(words[0]) {
		return nil, 0, false
	}
	status = 400
	scheme, _, found := strings.Cut(words[1], ":")
	if len(words) == 3 && found && isScheme(scheme) && !strings.EqualFold(scheme, "sip") && !strings.EqualFold(scheme, "sips") {
		status = 416
	}
	return append([]byte(words[0]+" sip:unreadable.invalid SIP/2.0\r\n"), rest...), status, true
}

// isToken knows a token (RFC 3261 section 25.1).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > '~' || r < '!' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// isScheme knows the name of a URI scheme (RFC 3986 section 3.1).
func isScheme(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		return !letter && !('0' <= r && r <= '9') && !strings.ContainsRune("+-.", r)
	})
}

// repairing tries a Contact again after repairContact.
func repairing(parse sip.HeaderParser) sip.HeaderParser {
	return func(name []byte, text string) (sip.Header, error) {
		h, err := parse(name, text)
		if err == nil || isComma(err) {
			return h, err
		}
		repaired, ok := repairContact(text)
		if !ok {
			return h, err
		}
		return parse(name, repaired)
	}
}

// repairContact mends what deployed clients send: Metaswitch leaves out the closing bracket ("<sip:u@h;+sip.src"), a Cisco
// capture lacks the colon after the scheme ("<sip192.0.2.1>").
func repairContact(text string) (string, bool) {
	open := strings.IndexByte(text, '<')
	if open < 0 {
		return "", false
	}
	repaired := text
	if !strings.Contains(text[open:], ">") {
		repaired += ">"
	}
	uri := repaired[open+1:]
	if len(uri) > 3 && strings.EqualFold(uri[:3], "sip") && (uri[3] == '[' || uri[3] >= '0' && uri[3] <= '9') {
		repaired = repaired[:open+1] + "sip:" + uri[3:]
	}
	return repaired, repaired != text
}

// noDNS is a resolver that finds nothing. Answers go where the request came from and requests of ours to addresses of known
// sources; sipgo would otherwise look up any name that a peer puts into a Via.
func noDNS() *net.Resolver {
	return &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			return nil, errors.New("names are not looked up")
		},
	}
}
