package media

import (
	"bytes"
	"net"
	"net/netip"
	"testing"

	"github.com/pion/stun/v3"
)

var (
	ourICE = &ICE{Ufrag: "8hhYOURS", Pwd: NewKey([]byte("asd88fgpdd777uzjYhagZg"))}
	peer   = netip.MustParseAddrPort("192.0.2.7:40000")
)

func stunMessage(t testing.TB, setters ...stun.Setter) []byte {
	t.Helper()
	m, err := stun.Build(append([]stun.Setter{stun.NewTransactionIDSetter([12]byte{1, 2, 3})}, setters...)...)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}

// A check with the right integrity is answered with its source, and nothing else is answered at all.
func TestCheck(t *testing.T) {
	user, integrity := stun.NewUsername("8hhYOURS:theirs"), stun.NewShortTermIntegrity("asd88fgpdd777uzjYhagZg")
	priority := stun.RawAttribute{Type: stun.AttrPriority, Value: []byte{0, 0, 0, 1}}
	use := stun.RawAttribute{Type: stun.AttrUseCandidate}
	required := stun.RawAttribute{Type: 0x7001, Value: []byte{1, 2, 3, 4}}
	optional := stun.RawAttribute{Type: 0xc001, Value: []byte{1, 2, 3, 4}}
	request := func(s ...stun.Setter) []byte {
		return stunMessage(t, append([]stun.Setter{stun.BindingRequest}, s...)...)
	}
	for _, tt := range []struct {
		name string
		data []byte
		want checked
		code stun.ErrorCode // of an answer that is an error
	}{
		{"usual", request(user, priority, integrity, stun.Fingerprint), checked{valid: true}, 0},
		{"nominates", request(user, use, priority, optional, integrity, stun.Fingerprint), checked{valid: true, nominates: true}, 0},
		{"nominates without proof", request(user, integrity, use, stun.Fingerprint), checked{valid: true}, 0},
		{"required attribute", request(user, use, required, integrity, stun.Fingerprint), checked{}, stun.CodeUnknownAttribute},
		{"wrong password", request(user, stun.NewShortTermIntegrity("another password altogether"), stun.Fingerprint), checked{}, 0},
		{"no integrity", request(user, stun.Fingerprint), checked{}, 0},
		{"no fingerprint", request(user, integrity), checked{}, 0},
		{"user behind the integrity", request(integrity, user, stun.Fingerprint), checked{}, 0},
		{"another user", request(stun.NewUsername("another:theirs"), integrity, stun.Fingerprint), checked{}, 0},
		{"user without peer", request(stun.NewUsername("8hhYOURS"), integrity, stun.Fingerprint), checked{}, 0},
		{"no user", request(integrity, stun.Fingerprint), checked{}, 0},
		{"indication", stunMessage(t, stun.NewType(stun.MethodBinding, stun.ClassIndication), user, integrity, stun.Fingerprint), checked{}, 0},
		{"answer", stunMessage(t, stun.BindingSuccess, user, integrity, stun.Fingerprint), checked{}, 0},
		{"bare", request(), checked{}, 0},
		{"empty", nil, checked{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			response, got := check(ourICE, peer, bytes.Clone(tt.data))
			if got != tt.want || (response != nil) != (tt.want.valid || tt.code != 0) {
				t.Fatalf("got %+v, answered with %d bytes; want %+v", got, len(response), tt.want)
			}
			if response == nil {
				return
			}
			m := &stun.Message{Raw: response}
			if err := m.Decode(); err != nil || m.Check(stun.Fingerprint) != nil || m.Check(integrity) != nil || m.TransactionID != [12]byte{1, 2, 3} {
				t.Errorf("the answer is not in order: %v, %s", err, m)
			}
			if tt.code != 0 {
				var code stun.ErrorCodeAttribute
				if err := code.GetFrom(m); err != nil || code.Code != tt.code {
					t.Errorf("error %v, %v; want %v", code, err, tt.code)
				}
				return
			}
			var mapped stun.XORMappedAddress
			if err := mapped.GetFrom(m); err != nil || !mapped.IP.Equal(net.IP(peer.Addr().AsSlice())) || mapped.Port != int(peer.Port()) {
				t.Errorf("the answer says %s, %v", mapped, err)
			}
			if len(response) > len(tt.data)+24 {
				t.Errorf("%d bytes are answered with %d", len(tt.data), len(response))
			}
		})
	}
}

// FuzzCheck: whatever comes, only who knows the password is answered, and in few bytes.
func FuzzCheck(f *testing.F) {
	good := stunMessage(f, stun.BindingRequest, stun.NewUsername("8hhYOURS:theirs"), stun.NewShortTermIntegrity("asd88fgpdd777uzjYhagZg"), stun.Fingerprint)
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte{0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42})
	f.Fuzz(func(t *testing.T, data []byte) {
		response, c := check(ourICE, peer, bytes.Clone(data))
		if response == nil {
			if c.valid {
				t.Error("valid and not answered")
			}
			return
		}
		m := &stun.Message{Raw: bytes.Clone(data)}
		if err := m.Decode(); err != nil || m.Check(stun.NewShortTermIntegrity("asd88fgpdd777uzjYhagZg")) != nil {
			t.Errorf("answered: %x", data)
		}
		if len(response) > 2*len(data) {
			t.Errorf("%d bytes are answered with %d", len(data), len(response))
		}
	})
}
