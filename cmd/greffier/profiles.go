package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/greffier/greffier/media/codec"
	"github.com/greffier/greffier/recorder"
	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// keptHeaders are the header fields that policy rules may read and those that hold identifiers.
func (s SourceConfig) keptHeaders() []string {
	out := slices.Clone(s.Headers)
	for _, name := range s.ExternalIDs {
		if !slices.ContainsFunc(out, func(h string) bool { return strings.EqualFold(h, name) }) {
			out = append(out, name)
		}
	}
	return out
}

// decodes tells whether there is any form of a codec that can be decoded.
func decodes(known codec.Set, name string) bool {
	for _, rate := range []int{8000, 16000, 48000} {
		for _, channels := range []int{1, 2} {
			if _, ok := known.Lookup(codec.Format{Name: name, ClockRate: rate, Channels: channels, Params: "octet-align=1"}); ok {
				return true
			}
		}
	}
	return false
}

// profiles are the SRC profiles as the recorder takes them.
func (c Config) profiles() (map[string]recorder.Profile, error) {
	out := map[string]recorder.Profile{}
	for i, s := range c.SIP.Sources {
		demands, err := siprec.ParseDemands(s.Codecs, s.SRTP)
		if err != nil {
			return nil, fmt.Errorf("sip.sources[%d] %s: %w", i, s.Name, err)
		}
		for _, name := range demands.Codecs {
			if !decodes(codec.Set{G729: c.Media.G729}, name) {
				return nil, fmt.Errorf("sip.sources[%d] %s: codecs: this program does not decode %s; write PCMU, PCMA, G722, opus or another that it decodes, or leave the key out", i, s.Name, name)
			}
		}
		out[s.Name] = recorder.Profile{Tenant: s.Tenant, Trunk: s.Trunk, ExternalIDs: s.ExternalIDs, Demands: demands}
	}
	return out, nil
}

// digest reads what the SRC must know.
func (s SourceConfig) digest() (srs.Digest, error) {
	if (s.DigestUser == "") != (s.DigestPasswordFile == "") {
		return srs.Digest{}, errors.New("digest_user and digest_password_file: one needs the other")
	}
	if s.DigestUser == "" {
		return srs.Digest{}, nil
	}
	password, err := readPassword(s.DigestPasswordFile)
	if err != nil {
		return srs.Digest{}, fmt.Errorf("read digest_password_file: %w", err)
	}
	return srs.Digest{User: s.DigestUser, Password: password, Algorithms: s.DigestAlgorithms}, nil
}

// readPassword reads a file that holds a password in its only line.
func readPassword(path string) (siprec.Secret, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return siprec.Secret{}, err
	}
	b = bytes.TrimRight(b, "\r\n")
	if len(b) == 0 || bytes.ContainsAny(b, "\r\n") {
		return siprec.Secret{}, fmt.Errorf("%s does not hold one line with a password: write it there", path)
	}
	return siprec.NewSecret(b), nil
}
