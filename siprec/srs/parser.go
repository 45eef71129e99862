package srs

import (
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
