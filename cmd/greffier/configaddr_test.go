package main

import (
	"fmt"
	"testing"
)

// TestAddresses says what SRCs are told and what is bound.
func TestAddresses(t *testing.T) {
	for name, x := range map[string]struct {
		listen                   []string
		advertise, address, told string
		sip, media, bind         string
		broken                   bool
	}{
		"loopback":                  {listen: []string{"udp://127.0.0.1:5060", "tcp://127.0.0.1:5060"}, sip: "[]", media: "[]", bind: "127.0.0.1"},
		"IPv6 loopback":             {listen: []string{"udp://[::1]:5060"}, sip: "[]", media: "[]", bind: "::1"},
		"both loopbacks":            {listen: []string{"udp://127.0.0.1:5060", "udp://[::1]:5060"}, sip: "[]", media: "[]", bind: "::"},
		"any":                       {listen: []string{"udp://0.0.0.0:5060"}, sip: "[]", media: "[]", bind: "0.0.0.0"},
		"any of both families":      {listen: []string{"udp://[::]:5060"}, sip: "[]", media: "[]", bind: "::"},
		"media apart":               {listen: []string{"udp://192.0.2.1:5060"}, address: "192.0.2.2", sip: "[]", media: "[192.0.2.2]", bind: "192.0.2.2"},
		"media of both families":    {listen: []string{"udp://[::]:5060"}, address: "192.0.2.2, 2001:db8::2", sip: "[]", media: "[192.0.2.2 2001:db8::2]", bind: "::"},
		"a NAT for both":            {listen: []string{"udp://10.0.0.1:5060"}, advertise: "192.0.2.1:5070", sip: "[192.0.2.1:5070]", media: "[]", bind: "0.0.0.0"},
		"a NAT, media elsewhere":    {listen: []string{"udp://10.0.0.1:5060"}, advertise: "192.0.2.1:5070", address: "192.0.2.2", sip: "[192.0.2.1:5070]", media: "[192.0.2.2]", bind: "0.0.0.0"},
		"a NAT, a network of media": {listen: []string{"udp://10.0.0.1:5060"}, advertise: "192.0.2.1:5070", address: "10.0.1.1", told: "192.0.2.2", sip: "[192.0.2.1:5070]", media: "[192.0.2.2]", bind: "10.0.1.1"},
		"a NAT before media only":   {listen: []string{"udp://10.0.0.1:5060"}, address: "10.0.1.1", told: "192.0.2.2", sip: "[]", media: "[192.0.2.2]", bind: "10.0.1.1"},
		"both families behind NATs": {listen: []string{"udp://[::]:5060"}, advertise: "192.0.2.1:5070,[2001:db8::1]:5070", sip: "[192.0.2.1:5070 [2001:db8::1]:5070]", media: "[]", bind: "::"},
		"no port":                   {advertise: "192.0.2.1", broken: true},
		"two of a family":           {address: "192.0.2.1,192.0.2.2", broken: true},
		"nothing to send to":        {told: "0.0.0.0", broken: true},
		"a name":                    {address: "media.example.com", broken: true},
	} {
		c := Config{SIP: SIPConfig{Listen: x.listen, Advertise: x.advertise}, Media: MediaConfig{Address: x.address, Advertise: x.told}}
		a, err := c.addresses()
		if (err != nil) != x.broken {
			t.Errorf("%s: %v", name, err)
		}
		if got, want := fmt.Sprint(a.sip, a.media, a.bind), x.sip+" "+x.media+" "+x.bind; err == nil && got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
