package srs_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/icholy/digest"

	"github.com/greffier/greffier/siprec"
	"github.com/greffier/greffier/siprec/srs"
)

// TestProve has the examples of RFC 7616 section 3.9.1, as written there and damaged.
func TestProve(t *testing.T) {
	const (
		before = `Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", `
		nonce  = `nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, `
		sha    = `response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"`
		md5    = `response="8ca523f5e9506fed4657c9700eebdbec"`
		opaque = `, opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"`
	)
	for name, x := range map[string]struct {
		field string
		want  bool
	}{
		"SHA-256":            {before + "algorithm=SHA-256, " + nonce + sha + opaque, true},
		"MD5":                {before + "algorithm=MD5, " + nonce + md5 + opaque, true},
		"no algorithm":       {before + nonce + md5, true},
		"quoted values":      {before + `algorithm="MD5", ` + strings.Replace(nonce, "qop=auth", `qop="auth"`, 1) + md5, true},
		"case":               {"DIGEST USERNAME=\"Mufasa\"," + strings.TrimPrefix(before, `Digest username="Mufasa", `) + "Algorithm=md5," + nonce + "RESPONSE" + md5[8:], true},
		"another algorithm":  {before + "algorithm=SHA-512-256, " + nonce + sha, false},
		"MD5 named SHA-256":  {before + "algorithm=SHA-256, " + nonce + md5, false},
		"no qop":             {before + "algorithm=MD5, " + strings.Replace(nonce, "qop=auth, ", "", 1) + md5, false},
		"another user":       {strings.Replace(before, "Mufasa", "Scar", 1) + "algorithm=MD5, " + nonce + md5, false},
		"another count":      {before + "algorithm=MD5, " + strings.Replace(nonce, "00000001", "00000002", 1) + md5, false},
		"no response":        {before + "algorithm=MD5, " + strings.TrimSuffix(nonce, ", "), false},
		"two responses":      {before + "algorithm=MD5, " + nonce + md5 + ", " + md5, false},
		"another scheme":     {"Basic TXVmYXNhOkNpcmNsZSBvZiBMaWZl", false},
		"open quote":         {before + "algorithm=MD5, " + nonce + md5[:len(md5)-1], false},
		"nothing":            {"", false},
		"a field of its own": {before + "algorithm=MD5, auth-param=x, " + nonce + md5, true},
	} {
		if got := srs.Prove("Mufasa", "Circle of Life", "http-auth@example.org", "GET", x.field); got != x.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if srs.Prove("Mufasa", "Circle of Life", "http-auth@example.org", "POST", before+"algorithm=MD5, "+nonce+md5) {
		t.Error("the method does not matter")
	}
}

func FuzzAuthorization(f *testing.F) {
	f.Add(`Digest username="a\"b", realm="r", nonce="n", nc=00000001, cnonce="c", qop=auth, uri="sip:x", response="0", algorithm=MD5`)
	f.Add(`Digest username=,,=,"`)
	f.Fuzz(func(t *testing.T, field string) {
		if srs.Prove("user", "a password that nobody guesses", "realm", "INVITE", field) {
			t.Fatalf("%q proves it", field)
		}
	})
}

func TestNonces(t *testing.T) {
	n, now := srs.NewNonces(), time.Unix(1_000_000, 0)
	a := n.Make("sbc", now)
	if a == n.Make("sbc", now) {
		t.Error("two nonces are the same")
	}
	for i, x := range []struct {
		nonce, src string
		count      uint32
		after      time.Duration
		want       bool
	}{
		{a, "sbc", 1, 0, true},
		{a, "sbc", 1, 0, false}, // a replay
		{a, "sbc", 3, time.Second, true},
		{a, "sbc", 2, time.Second, true}, // overtaken on the way
		{a, "sbc", 2, time.Second, false},
		{a, "sbc", 0, 0, false},
		{a, "sbc", 200, time.Second, true},
		{a, "sbc", 100, time.Second, false}, // too far behind to know
		{a, "sbc", 137, time.Second, true},
		{a, "other", 201, 0, false},
		{a + "A", "sbc", 201, 0, false},
		{swapped(a), "sbc", 201, 0, false},
		{"", "sbc", 1, 0, false},
		{"!!!", "sbc", 1, 0, false},
		{a, "sbc", 201, srs.NonceLife + time.Second, false},
		{a, "sbc", 201, -time.Minute, false},
	} {
		if got := n.Spend(x.nonce, x.src, x.count, now.Add(x.after)); got != x.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if srs.NewNonces().Spend(a, "sbc", 201, now) {
		t.Error("another server takes the nonce")
	}
	// As many as are remembered, then some: memory stays bounded, and nothing can be used twice.
	first := n.Make("sbc", now)
	for range srs.MaxNonces + 10 {
		n.Spend(n.Make("sbc", now), "sbc", 1, now)
	}
	if n.Kept() > srs.MaxNonces {
		t.Errorf("%d nonces are kept", n.Kept())
	}
	if n.Spend(first, "sbc", 1, now) {
		t.Error("a nonce from before all was forgotten is taken")
	}
	if later := now.Add(time.Millisecond); !n.Spend(n.Make("sbc", later), "sbc", 1, later) {
		t.Error("a new nonce is not taken")
	}
}

// swapped is a text whose middle two characters that differ have changed places.
func swapped(s string) string {
	b := []byte(s)
	for i := len(b) / 2; ; i++ {
		if b[i] != b[i+1] {
			b[i], b[i+1] = b[i+1], b[i]
			return string(b)
		}
	}
}

// A knower answers challenges with another implementation than the server's.
type knower struct {
	password  string
	algorithm string
	challenge *digest.Challenge
	count     int
}

// hears takes the challenge of a 401.
func (k *knower) hears(t *testing.T, m message) {
	t.Helper()
	for _, v := range m.header["Www-Authenticate"] {
		c, err := digest.ParseChallenge(v)
		if err != nil {
			t.Fatal(err)
		}
		if c.Algorithm == k.algorithm {
			k.challenge, k.count = c, 0
			return
		}
	}
	t.Fatalf("no challenge for %s in %v", k.algorithm, m.header)
}

// field is the Authorization field for a request.
func (k *knower) field(t *testing.T, method string) string {
	t.Helper()
	k.count++
	c, err := digest.Digest(k.challenge, digest.Options{Method: method, URI: "sip:srs@127.0.0.1", Count: k.count, Username: "sbc", Password: k.password})
	if err != nil {
		t.Fatal(err)
	}
	return "Authorization: " + c.String()
}

func secretSource() srs.Source {
	return srs.Source{Digest: srs.Digest{User: "sbc", Password: siprec.NewSecret([]byte("correct horse"))}}
}

// TestDigest takes a call through challenges, by both algorithms and over both transports.
func TestDigest(t *testing.T) {
	for _, algorithm := range []string{"SHA-256", "MD5"} {
		t.Run(algorithm, func(t *testing.T) {
			each(t, func(t *testing.T, network string) {
				rec := newFake(t)
				r := start(t, rec, loopbackWith(secretSource()))
				c := r.dial(network).caller()
				k := &knower{password: "correct horse", algorithm: algorithm}
				asked := c.expect(c.ask("INVITE", multipartType, both("sendonly")), 401)
				if n := len(asked.header["Www-Authenticate"]); n != 2 || !strings.Contains(asked.header["Www-Authenticate"][0], "SHA-256") {
					t.Errorf("challenges %v", asked.header)
				}
				k.hears(t, asked)
				c.ack("", "")
				c.open(multipartType, both("sendonly"), k.field(t, "INVITE"))
				if n := len(rec.begins); n != 1 {
					t.Fatalf("%d sessions begun", n)
				}
				// In the dialog, too: an address is all that a stranger's BYE would need.
				c.expect(c.ask("BYE", "", ""), 401)
				began := time.Now()
				c.expect(c.ask("UPDATE", metadataType, metadata("alice"), k.field(t, "UPDATE")), 200)
				c.expect(c.ask("INVITE", multipartType, both("inactive"), k.field(t, "INVITE")), 200)
				c.ack("", "")
				c.expect(c.ask("BYE", "", "", k.field(t, "BYE")), 200)
				if d := time.Since(began); d > 200*time.Millisecond {
					t.Errorf("what follows a challenge waited: %v", d)
				}
				if n := len(r.refused); n != 0 {
					t.Errorf("asking is reported as refusing: %+v", <-r.refused)
				}
				c = c.peer.caller()
				c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 401)
				c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>", k.field(t, "OPTIONS")), 200)
			})
		})
	}
}

// TestDigestRefused refuses wrong passwords, replays and stale nonces, and says which of them want a new nonce only.
func TestDigestRefused(t *testing.T) {
	rec := newFake(t)
	now := time.Now()
	clock := make(chan time.Time, 1)
	clock <- now
	r := start(t, rec, loopbackWith(secretSource()), func(c *srs.Config) {
		c.Clock = func() time.Time { at := <-clock; clock <- at; return at }
	})
	c := r.dial("tcp").caller()
	k := &knower{password: "wrong", algorithm: "MD5"}
	options := func(status int, extra ...string) message {
		t.Helper()
		return c.expect(c.ask("OPTIONS", "", "", append([]string{"To: <sip:x@y>"}, extra...)...), status)
	}
	stale := func(m message) bool { return strings.Contains(fmt.Sprint(m.header["Www-Authenticate"]), "stale=true") }

	k.hears(t, options(401))
	if m := options(401, k.field(t, "OPTIONS")); stale(m) {
		t.Error("a wrong password is called stale")
	}
	if ref := r.refusal(401); ref.Cause != srs.CauseCredentials || ref.SRC != "sbc" || ref.Reason == "" {
		t.Errorf("report %+v", ref)
	}
	k.password = "correct horse"
	once := k.field(t, "OPTIONS")
	options(200, once)
	if m := options(401, once); !stale(m) {
		t.Error("a replay is not asked for a new nonce")
	}
	if got := c.expect(c.ask("INVITE", multipartType, both("sendonly"), once), 401); stale(got) {
		t.Error("credentials for OPTIONS were right for INVITE")
	}
	c.ack("", "")
	r.refusal(401)
	late := k.field(t, "OPTIONS")
	<-clock
	clock <- now.Add(srs.NonceLife + time.Second)
	m := options(401, late)
	if !stale(m) {
		t.Error("an old nonce is not called stale")
	}
	k.hears(t, m)
	options(200, k.field(t, "OPTIONS"))
	for _, junk := range []string{"Authorization: Digest", "Authorization: Bearer x", "Authorization: Digest nc=" + strings.Repeat("f", 5000)} {
		options(401, junk)
	}
	if len(rec.begins) != 0 {
		t.Error("a session was begun")
	}
	for _, e := range r.logs.All() {
		if line := fmt.Sprint(e.Message, e.ContextMap()); strings.Contains(line, "horse") || strings.Contains(line, "nonce") {
			t.Errorf("log line %q", line)
		}
	}
	if s := fmt.Sprintf("%+v", secretSource()); strings.Contains(s, "horse") {
		t.Errorf("a source prints its password: %s", s)
	}
}

// TestDigestAlgorithms offers and takes what the profile says, and nothing else.
func TestDigestAlgorithms(t *testing.T) {
	src := secretSource()
	src.Digest.Algorithms = []string{"sha-256"}
	r := start(t, newFake(t), loopbackWith(src))
	c := r.dial("tcp").caller()
	k := &knower{password: "correct horse", algorithm: "SHA-256"}
	asked := c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>"), 401)
	if n := len(asked.header["Www-Authenticate"]); n != 1 {
		t.Errorf("%d challenges", n)
	}
	k.hears(t, asked)
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>", k.field(t, "OPTIONS")), 200)
	k.challenge.Algorithm = "MD5"
	c.expect(c.ask("OPTIONS", "", "", "To: <sip:x@y>", k.field(t, "OPTIONS")), 401)
	for name, d := range map[string]srs.Digest{
		"no password": {User: "sbc"},
		"SHA-1":       {User: "sbc", Password: siprec.NewSecret([]byte("x")), Algorithms: []string{"SHA-1"}},
	} {
		cfg := srs.Config{Listen: []string{"udp://127.0.0.1:0"}}
		loopbackWith(srs.Source{Digest: d})(&cfg)
		if _, err := srs.New(cfg, newFake(t)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// TestDigestOverTLS asks once on a connection, and for each new session; not within dialogs.
func TestDigestOverTLS(t *testing.T) {
	ca := newAuthority(t)
	src := secretSource()
	src.Name, src.Prefixes = "sbc", []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	r := start(t, newFake(t), secured(t, ca, false, src))
	p := dialTLS(t, r.listener("tls"), ca.client())
	c := p.caller()
	k := &knower{password: "correct horse", algorithm: "SHA-256"}
	k.hears(t, c.expect(c.ask("INVITE", multipartType, both("sendonly")), 401))
	c.ack("", "")
	c.open(multipartType, both("sendonly"), k.field(t, "INVITE"))
	c.expect(c.ask("UPDATE", metadataType, metadata("alice")), 200)
	other := p.caller()
	other.expect(other.ask("INVITE", multipartType, both("sendonly")), 401)
	other.ack("", "")
	elsewhere := *c
	elsewhere.peer = dialTLS(t, r.listener("tls"), ca.client())
	elsewhere.seq = 10
	elsewhere.expect(elsewhere.ask("BYE", "", ""), 401)
	c.bye()
}
