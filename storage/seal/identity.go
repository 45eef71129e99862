package seal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"filippo.io/age"
)

const (
	// markType is the type of the stanza that names the key-encryption key in the header of a wrapped key. Programs that do not know
	// it pass over it, as the age format asks them to.
	markType = "greffier-kek"
	// kekIDBytes of the SHA-256 of a recipient are the id of a key-encryption key.
	kekIDBytes = 8

	hybridPrefix = "AGE-SECRET-KEY-PQ-1"
)

// An identity is the secret half of a key. Its String shows the secret.
type identity interface {
	age.Identity
	fmt.Stringer
}

// newIdentity makes a hybrid one, of ML-KEM-768 and X25519: what is sealed today is to be closed to the computers of its last day too.
func newIdentity() (identity, error) {
	made, err := age.GenerateHybridIdentity()
	if err != nil {
		return nil, fmt.Errorf("generate key: %w", err)
	}
	return made, nil
}

// errNoIdentity says all that may be said of a text that is none: an error of age may show it.
var errNoIdentity = errors.New("it does not begin with " + hybridPrefix + " or AGE-SECRET-KEY-1, or is damaged")

// parseIdentity reads a hybrid identity, or an X25519 one, as they were made before.
func parseIdentity(text string) (identity, error) {
	if strings.HasPrefix(text, hybridPrefix) {
		if parsed, err := age.ParseHybridIdentity(text); err == nil {
			return parsed, nil
		}
		return nil, errNoIdentity
	}
	parsed, err := age.ParseX25519Identity(text)
	if err != nil {
		return nil, errNoIdentity
	}
	return parsed, nil
}

// A recipient is the public half.
type recipient interface {
	age.Recipient
	fmt.Stringer
}

func recipientOf(i identity) recipient {
	if hybrid, ok := i.(*age.HybridIdentity); ok {
		return hybrid.Recipient()
	}
	return i.(*age.X25519Identity).Recipient()
}

// kekID names a key-encryption key by its public half.
func kekID(r recipient) string {
	h := sha256.Sum256([]byte(r.String()))
	return hex.EncodeToString(h[:kekIDBytes])
}

// marked is a recipient that leaves in the file which key-encryption key it was, as the recipients of age are anonymous.
type marked struct{ recipient }

// WrapWithLabels implements age.RecipientWithLabels, as a hybrid recipient does.
func (m marked) WrapWithLabels(fileKey []byte) (stanzas []*age.Stanza, labels []string, err error) {
	if labelled, ok := m.recipient.(age.RecipientWithLabels); ok {
		stanzas, labels, err = labelled.WrapWithLabels(fileKey)
	} else {
		stanzas, err = m.Wrap(fileKey)
	}
	if err != nil {
		return nil, nil, err
	}
	return append(stanzas, &age.Stanza{Type: markType, Args: []string{kekID(m.recipient)}}), labels, nil
}

// wrapTo encrypts a secret to a key-encryption key.
func wrapTo(r recipient, secret []byte) ([]byte, error) {
	var wrapped bytes.Buffer
	sealed, err := age.Encrypt(&wrapped, marked{r})
	if err == nil {
		_, err = sealed.Write(secret)
	}
	if err == nil {
		err = sealed.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("wrap key: %w", err)
	}
	return wrapped.Bytes(), nil
}

// unwrapWith decrypts what wrapTo made with any of the identities.
func unwrapWith(wrapped []byte, identities ...age.Identity) ([]byte, error) {
	plain, err := age.Decrypt(bytes.NewReader(wrapped), identities...)
	var secret []byte
	if err == nil {
		secret, err = io.ReadAll(io.LimitReader(plain, maxWrappedBytes))
	}
	if err != nil {
		clear(secret)
		return nil, fmt.Errorf("unwrap key: %w", openError(err))
	}
	return secret, nil
}

// markOf reads which key-encryption key a wrapped key names: "" for none, as in those of older versions. It proves nothing: whoever can
// write the file can write that. Only unwrapping does.
func markOf(wrapped []byte) string {
	for line := range bytes.Lines(wrapped) {
		if bytes.HasPrefix(line, []byte("---")) {
			return ""
		}
		if rest, ok := bytes.CutPrefix(line, []byte("-> "+markType+" ")); ok {
			return checkedKEKID(string(bytes.TrimSpace(rest)))
		}
	}
	return ""
}

// checkedKEKID is id, or "" if it cannot be one.
func checkedKEKID(id string) string {
	if b, err := hex.DecodeString(id); err != nil || len(b) != kekIDBytes || strings.ToLower(id) != id {
		return ""
	}
	return id
}
