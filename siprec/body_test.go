package siprec_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/greffier/greffier/siprec"
)

// parts writes a Body in one line.
func parts(b siprec.Body) string {
	s := fmt.Sprintf("sdp=%q metadata=%q", b.SDP, b.Metadata)
	for _, p := range b.Other {
		s += fmt.Sprintf(" other=%s;%s;%q", p.Type, p.Disposition, p.Content)
	}
	return s
}

func TestParseBody(t *testing.T) {
	const mixed = "multipart/mixed;boundary=b"
	const sdp, metadata = "Content-Type: application/sdp\n\n", "Content-Type: application/rs-metadata+xml\n\n"
	tests := []struct {
		name, contentType, body string
		want                    string
	}{
		{"empty", "", "", `sdp="" metadata=""`},
		{"empty with a type", "application/sdp", "\r\n", `sdp="" metadata=""`},
		{"bare description", "Application/SDP; charset=utf-8", "v=0", `sdp="v=0" metadata=""`},
		{"bare metadata, old type", "application/rs-metadata", "<r/>", `sdp="" metadata="<r/>"`},
		{"bare metadata", "application/rs-metadata+xml;charset=utf-8", "<r/>", `sdp="" metadata="<r/>"`},
		{"something else", "text/plain", "hello", `sdp="" metadata="" other=text/plain;;"hello"`},
		{"no type, but a description", "", "v=0\r\n", `sdp="v=0\r\n" metadata=""`},
		{"no type, but metadata", "", "<?xml?><r/>", `sdp="" metadata="<?xml?><r/>"`},
		{"either order", mixed, "--b\n" + metadata + "M\n--b\n" + sdp + "S\n--b--\n", `sdp="S" metadata="M"`},
		{"CRLF", mixed, strings.ReplaceAll("--b\n"+sdp+"S\n\n--b\n"+metadata+"M\n--b--\n", "\n", "\r\n"), `sdp="S\r\n" metadata="M"`},
		{"quoted boundary", `multipart/mixed; charset=x; boundary="a b\c"`, "--a bc\n" + sdp + "S\n--a bc--", `sdp="S" metadata=""`},
		{"trailing space", `multipart/mixed; boundary="b "`, "--b \t\n" + sdp + "S\n--b-- \n", `sdp="S" metadata=""`},
		{"space before the closing dashes", `multipart/mixed; boundary="b "`, "--b \n" + sdp + "S\n--b --\n", `sdp="S" metadata=""`},
		{"dashes", "multipart/mixed; boundary=----=_P", "------=_P\n" + sdp + "S\n------=_P--", `sdp="S" metadata=""`},
		{"boundary parameter twice", "multipart/mixed; boundary=b; boundary=c;;", "--b\n" + sdp + "S\n--b--", `sdp="S" metadata=""`},
		{"no closing boundary", mixed, "\n--b\n" + sdp + "S\n--b\n" + metadata + "M\n", `sdp="S" metadata="M\n"`},
		{"preamble and epilogue", mixed, "hello\n--b\n" + sdp + "S\n--b--\nbye\n--b\n", `sdp="S" metadata=""`},
		{"longer boundary inside", mixed, "--b\n" + sdp + "--bb\n--b--", `sdp="--bb" metadata=""`},
		{"announced boundary is wrong", "multipart/mixed; boundary=x", "\r\n--b\n" + sdp + "S\n--b--", `sdp="S" metadata=""`},
		{"boundary not announced", "multipart/mixed", "--b\n" + sdp + "S\n--b--", `sdp="S" metadata=""`},
		{
			"odd headers", mixed,
			"--b\nContent-Length: 1\ncontent-disposition:Session;handling=required\nCONTENT-TYPE:application/SDP;\n charset=x\nContent-Type: text/plain\n\nSDP\n--b--",
			`sdp="SDP" metadata=""`,
		},
		{"no headers", mixed, "--b\n\nv=0\n--b\nv=0 again\n--b--", `sdp="v=0" metadata="" other=;;"v=0 again"`},
		{"only headers", mixed, "--b\nContent-Type: application/sdp\n--b--", `sdp="" metadata=""`},
		{"headers without the empty line", mixed, "--b\nContent-Type: application/sdp\nv=0\ns=-\n--b--", `sdp="v=0\ns=-" metadata=""`},
		{
			"first of two counts", mixed, "--b\n" + sdp + "S\n--b\n" + sdp + "T\n--b\n" + metadata + "M\n--b\n" + metadata + "N\n--b--",
			`sdp="S" metadata="M" other=application/sdp;;"T" other=application/rs-metadata+xml;;"N"`,
		},
		{"base64", mixed, "--b\nContent-Transfer-Encoding: BASE64\n" + sdp + "dj0w\n DQo=\n--b--", `sdp="v=0\r\n" metadata=""`},
		{"quoted-printable", mixed, "--b\nContent-Transfer-Encoding: quoted-printable\n" + sdp + "v=3D0=\n!\n--b--", `sdp="v=0!" metadata=""`},
		{"binary", mixed, "--b\nContent-Transfer-Encoding: binary\n" + sdp + "v=3D0\n--b--", `sdp="v=3D0" metadata=""`},
		{"unknown encoding", mixed, "--b\nContent-Transfer-Encoding: x-own\n" + sdp + "S\n--b--", `sdp="" metadata="" other=application/sdp;;"S"`},
		{"compressed", mixed, "--b\nContent-Encoding: gzip\n" + sdp + "S\n--b--", `sdp="" metadata="" other=application/sdp;;"S"`},
		{
			"nested", mixed, "--b\nContent-Type: multipart/alternative; boundary=c\n\n--c\nContent-Type: text/plain\nContent-Disposition: render\n\nT\n--c\n" +
				sdp + "S\n--c--\n\n--b\n" + metadata + "M\n--b--",
			`sdp="S" metadata="M" other=text/plain;render;"T"`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, err := siprec.ParseBody(tt.contentType, []byte(tt.body))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, parts(body)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestParseBodyRefuses(t *testing.T) {
	deep := "S"
	for i := range siprec.MaxMultipartDepth {
		deep = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%s", i, i, deep)
	}
	tests := []struct{ name, contentType, body, reason string }{
		{"no type", "", "hello", "no Content-Type"},
		{"no boundary", "multipart/mixed;boundary=b", "v=0\n", "does not contain its boundary \"b\""},
		{"nothing after the dashes", "multipart/mixed", "--\n", "does not contain its boundary"},
		{"bad base64", "multipart/mixed;boundary=b", "--b\nContent-Transfer-Encoding: base64\n\n!!\n--b--", "cannot be decoded"},
		{"bad quoted-printable", "multipart/mixed;boundary=b", "--b\nContent-Transfer-Encoding: quoted-printable\n\na\x01\n--b--", "cannot be decoded"},
		{"too big", "application/sdp", strings.Repeat("v", siprec.MaxBodyBytes+1), "limit of 524288"},
		{"too many parts", "multipart/mixed;boundary=b", strings.Repeat("--b\n\nx\n", siprec.MaxParts+1), "parts in the multipart body: more than the limit of 32"},
		{"too deep", "multipart/mixed;boundary=b", "--b\n" + deep, "more than the limit of 4"},
		{"too many headers", "multipart/mixed;boundary=b", "--b\n" + strings.Repeat("a: b\n", 40) + "\n--b--", "header lines"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := siprec.ParseBody(tt.contentType, []byte(tt.body))
			wantMalformed(t, err, tt.reason)
		})
	}
}

// wantMalformed checks that err refuses something as malformed, for a reason that contains the text.
func wantMalformed(t *testing.T, err error, reason string) {
	t.Helper()
	var refusal *siprec.Refusal
	if !errors.As(err, &refusal) || refusal.Kind != siprec.Malformed || !strings.Contains(refusal.Reason, reason) {
		t.Errorf("got error %v, want a malformed refusal with %q", err, reason)
	}
}
