package srs

import "github.com/emiago/sipgo/sip"

// An allowance is what is known of the client's taking UPDATE, by the Allow header field of what it sent last.
type allowance struct{ yes, no bool } // neither: it never said

func (a *allowance) learn(m sip.Message) {
	if len(m.GetHeaders("allow")) == 0 {
		return
	}
	a.yes = hasToken(m, string(sip.UPDATE), "allow")
	a.no = !a.yes
}

// takesUpdate tells whether the client said that it takes UPDATE, and whether it said that it does not.
func (d *dialog) takesUpdate() (yes, no bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.allow.yes, d.allow.no
}

// refusedUpdate remembers that the client took no UPDATE, whatever it had said.
func (d *dialog) refusedUpdate() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.allow = allowance{no: true}
}

// weCanRefresh tells whether there is a request by which we could refresh the session.
func (d *dialog) weCanRefresh() bool {
	yes, _ := d.takesUpdate()
	return yes || !d.src.NoReinvite
}
