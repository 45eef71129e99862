package policy

import (
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/greffier/greffier/siprec"
)

// A call is the facts as conditions see them: a CEL activation whose values are made once per decision, the rarer ones when
// they are first asked for. It belongs to one goroutine.
type call struct {
	facts    Facts
	internal bool // somebody is named, and all are internal
	alone    bool // one participant is named

	parties        []*party
	caller, callee *party // nobody when not known
	direction      string
	streams        int
	mixed          ref.Val
	local          time.Time // in the policy's time zone
	holiday        bool

	participants, headers, ext, callIDs ref.Val // nil until asked for
}

func (p *Policy) newCall(f Facts, now time.Time) *call {
	c := &call{facts: f, local: now.In(p.location), caller: nobody, callee: nobody}
	c.holiday = len(p.holidays) > 0 && p.holidays[c.local.Format(time.DateOnly)]
	var present []siprec.Participant
	if f.Metadata != nil {
		present = f.Metadata.Present()
	}
	roles := rolesOf(present)
	c.parties = make([]*party, len(present))
	for i, participant := range present {
		party := p.newParty(participant, roles[i], f.Directory)
		c.parties[i] = party
		switch {
		case party.role == RoleCaller && c.caller == nobody:
			c.caller = party
		case party.role == RoleCallee && c.callee == nobody:
			c.callee = party
		}
	}
	c.direction = directionOf(c.parties, p.insiders != nil || f.Directory != nil)
	c.internal = c.direction == "internal"
	c.alone = len(c.parties) == 1
	c.streams, c.mixed = streamsOf(f)
	return c
}

// rolesOf gives who called whom, as far as the SRC says. Of two participants, the one that it does not speak of has the other role.
func rolesOf(present []siprec.Participant) []string {
	roles := make([]string, len(present))
	for i, p := range present {
		if p.Caller != nil && *p.Caller {
			roles[i] = RoleCaller
		} else if p.Caller != nil {
			roles[i] = RoleCallee
		}
	}
	if len(roles) == 2 {
		for i, other := range []int{1, 0} {
			switch {
			case roles[i] != "" || roles[other] == "":
			case roles[other] == RoleCaller:
				roles[i] = RoleCallee
			default:
				roles[i] = RoleCaller
			}
		}
	}
	return roles
}

// directionOf tells which way a call goes; see the package's documentation.
func directionOf(parties []*party, insidersKnown bool) string {
	inside, callers, insideCallers := 0, 0, 0
	for _, p := range parties {
		if p.internal {
			inside++
		}
		if p.role == RoleCaller {
			callers++
			if p.internal {
				insideCallers++
			}
		}
	}
	switch {
	case len(parties) == 0 || !insidersKnown:
		return "unknown"
	case inside == len(parties):
		return "internal"
	case inside == 0:
		return "external"
	case callers == 0 || insideCallers != 0 && insideCallers != callers:
		return "unknown"
	case insideCallers > 0:
		return "outbound"
	default:
		return "inbound"
	}
}

func streamsOf(f Facts) (streams int, mixed ref.Val) {
	n, mix := len(f.Labels), false
	if m := f.Metadata; m != nil {
		if f.Labels == nil {
			n = len(m.Streams)
		}
		for _, s := range m.Streams {
			mix = mix || s.Mixed
		}
		for _, l := range f.Labels {
			mix = mix || m.Mixed(l)
		}
	}
	return n, types.Bool(mix)
}

// Parent is part of CEL's activation: there is none.
func (c *call) Parent() cel.Activation { return nil }

// ResolveName is part of CEL's activation: it gives the value of a variable.
func (c *call) ResolveName(name string) (any, bool) {
	switch name {
	case "src":
		return types.String(c.facts.SRC), true
	case "tenant":
		return types.String(c.facts.Tenant), true
	case "trunk":
		return types.String(c.facts.Trunk), true
	case "holiday":
		return types.Bool(c.holiday), true
	case "participants":
		return once(&c.participants, c.people), true
	case "caller":
		return c.caller, true
	case "callee":
		return c.callee, true
	case "direction":
		return types.String(c.direction), true
	case "streams":
		return types.Int(c.streams), true
	case "mixed":
		return c.mixed, true
	case "headers":
		return once(&c.headers, func() ref.Val { return stringMap(c.facts.Headers) }), true
	case "ext":
		return once(&c.ext, c.extensions), true
	case "call_ids":
		return once(&c.callIDs, c.identifiers), true
	}
	return c.resolveTime(name)
}

func (c *call) resolveTime(name string) (any, bool) {
	switch name {
	case "now":
		return types.Timestamp{Time: c.local.UTC()}, true
	case "hour":
		return types.Int(c.local.Hour()), true
	case "minute":
		return types.Int(c.local.Minute()), true
	case "weekday":
		return types.Int(c.isoWeekday()), true
	case "date":
		return types.String(c.local.Format(time.DateOnly)), true
	}
	return nil, false
}

// isoWeekday is 1 on Monday and 7 on Sunday.
func (c *call) isoWeekday() int64 { return int64(c.local.Weekday()+6)%7 + 1 }

func (c *call) people() ref.Val {
	values := make([]ref.Val, len(c.parties))
	for i, p := range c.parties {
		values[i] = p
	}
	return types.NewRefValList(types.DefaultTypeAdapter, values)
}

func (c *call) extensions() ref.Val {
	m := make(map[string]string)
	if c.facts.Metadata != nil {
		for _, e := range c.facts.Metadata.Extensions {
			m[e.Name] = e.Value // the newest comes last
		}
	}
	return stringMap(m)
}

func (c *call) identifiers() ref.Val {
	var ids []string
	if c.facts.Metadata != nil {
		ids = c.facts.Metadata.CallIDs()
	}
	return types.NewStringList(types.DefaultTypeAdapter, ids)
}

func stringMap(m map[string]string) ref.Val {
	return types.NewStringStringMap(types.DefaultTypeAdapter, m)
}

func once(v *ref.Val, make func() ref.Val) ref.Val {
	if *v == nil {
		*v = make()
	}
	return *v
}
