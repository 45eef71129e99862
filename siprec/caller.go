package siprec

import (
	"cmp"
	"slices"
	"strings"
)

// markCallers sets Participant.Caller where the document's extensions say who called. Only what is known of a dialect is used;
// order, labels and times say nothing.
func markCallers(d *Document) {
	for i := range d.Participants {
		p := &d.Participants[i]
		for _, x := range d.Extensions {
			if x.Parent != string(p.ID) {
				continue
			}
			switch name, value := lastStep(x.Name), strings.ToLower(x.Value); {
			case name == "callingparty" && (value == "true" || value == "false"): // Oracle
				setCaller(p, value == "true")
			case name == "role" && (value == "calling" || value == "called"): // Intrado
				setCaller(p, value == "calling")
			}
		}
	}
	markByNumbers(d)
}

// setCaller keeps what was said first.
func setCaller(p *Participant, caller bool) {
	if p.Caller == nil {
		p.Caller = &caller
	}
}

// markByNumbers uses the call data of BroadWorks, Metaswitch and NetSapiens: the calling and called numbers, and for BroadWorks
// the recorded user with the side of the call that is recorded. It says nothing unless exactly one participant fits.
func markByNumbers(d *Document) {
	var caller, called *Participant
	find := func(fits func(Participant) bool) *Participant {
		i := slices.IndexFunc(d.Participants, fits)
		if i < 0 || slices.ContainsFunc(d.Participants[i+1:], fits) {
			return nil
		}
		return &d.Participants[i]
	}
	var calling, dialled, user, side string // the first of each
	for _, x := range d.Extensions {
		switch lastStep(x.Name) {
		case "callingpartynumber":
			calling = cmp.Or(calling, x.Value)
		case "calledpartynumber":
			dialled = cmp.Or(dialled, x.Value)
		case "userid":
			user = cmp.Or(user, x.Value)
		}
		for _, s := range []string{"origCall", "termCall"} {
			if strings.Contains(x.Name+"/", "/callType/"+s+"/") {
				side = s
			}
		}
	}
	caller, called = find(hasNumber(calling)), find(hasNumber(dialled))
	if user != "" {
		recorded := find(func(p Participant) bool { return strings.EqualFold(withoutScheme(p.AOR()), withoutScheme(user)) })
		switch {
		case side == "origCall" && caller == nil:
			caller = recorded
		case side == "termCall" && called == nil:
			called = recorded
		}
	}
	if caller != nil && caller == called {
		return // contradictory
	}
	if len(d.Participants) == 2 { // who is not the one is the other
		for i := range d.Participants {
			other := &d.Participants[1-i]
			switch {
			case called == nil && caller == &d.Participants[i]:
				called = other
			case caller == nil && called == &d.Participants[i]:
				caller = other
			}
		}
	}
	if caller != nil {
		setCaller(caller, true)
	}
	if called != nil {
		setCaller(called, false)
	}
}

func hasNumber(value string) func(Participant) bool {
	number := strings.TrimPrefix(Number(value), "+")
	return func(p Participant) bool {
		return number != "" && slices.ContainsFunc(p.Names, func(n NameID) bool {
			return strings.TrimPrefix(Number(n.AOR), "+") == number
		})
	}
}

// lastStep gives the last step of an extension's path, folded; a step "value" is passed over, and the label of a labelled
// element stands for its name: "header[Call-ID]/value" gives "callid".
func lastStep(path string) string {
	path = strings.TrimSuffix(path, "/value")
	path = path[strings.LastIndexByte(path, '/')+1:]
	if _, label, ok := strings.Cut(path, "["); ok {
		path = strings.TrimSuffix(label, "]")
	}
	return fold(path)
}
