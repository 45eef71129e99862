package policy

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Most conditions are comparisons of texts and numbers joined by && and ||, and a policy may have hundreds of them. Those are
// compiled to Go functions, ten times as fast as the interpreter of CEL; they mean the same, which a test holds them to. They
// cannot fail: whatever could (a missing key) is left to the interpreter, and so is everything that is not named here.

// A test is a condition. p is the participant that the innermost exists or all is at.
type test func(c *call, p *party) bool

type (
	textOf   func(c *call, p *party) string
	intOf    func(c *call, p *party) int64
	personOf func(c *call, p *party) *party
)

// A shortcut compiles expressions. Each method gives false when the expression is none that it knows.
type shortcut struct {
	loop  string   // name of the loop's participant; "" outside of loops
	there []mapKey // keys that are known to be in their maps where the expression is asked
}

func (s shortcut) test(e ast.Expr) (test, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		b, ok := e.AsLiteral().(types.Bool)
		return func(*call, *party) bool { return bool(b) }, ok
	case ast.IdentKind:
		switch {
		case e.AsIdent() == s.loop:
		case e.AsIdent() == "mixed":
			return func(c *call, _ *party) bool { return c.mixed == types.True }, true
		case e.AsIdent() == "holiday":
			return func(c *call, _ *party) bool { return c.holiday }, true
		}
	case ast.SelectKind:
		return s.flag(e)
	case ast.CallKind:
		return s.call(e.AsCall())
	case ast.ComprehensionKind:
		return s.every(e.AsComprehension())
	}
	return nil, false
}

func (s shortcut) flag(e ast.Expr) (test, bool) {
	person, field, ok := s.field(e)
	if !ok || field != partyInternal && field != partyKnown {
		return nil, false
	}
	return func(c *call, p *party) bool { return person(c, p).fields[field] == types.True }, true
}

// field reads the selection of a participant's field.
func (s shortcut) field(e ast.Expr) (personOf, int, bool) {
	if e.Kind() != ast.SelectKind || e.AsSelect().IsTestOnly() {
		return nil, 0, false
	}
	person, ok := s.person(e.AsSelect().Operand())
	field, known := fieldPlaces[e.AsSelect().FieldName()]
	return person, field, ok && known
}

func (s shortcut) person(e ast.Expr) (personOf, bool) {
	if e.Kind() != ast.IdentKind {
		return nil, false
	}
	switch e.AsIdent() {
	case "":
	case s.loop:
		return func(_ *call, p *party) *party { return p }, true
	case "caller":
		return func(c *call, _ *party) *party { return c.caller }, true
	case "callee":
		return func(c *call, _ *party) *party { return c.callee }, true
	}
	return nil, false
}

func (s shortcut) text(e ast.Expr) (textOf, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		t, ok := e.AsLiteral().(types.String)
		return func(*call, *party) string { return string(t) }, ok
	case ast.IdentKind:
		switch e.AsIdent() {
		case s.loop:
		case "src":
			return func(c *call, _ *party) string { return c.facts.SRC }, true
		case "tenant":
			return func(c *call, _ *party) string { return c.facts.Tenant }, true
		case "trunk":
			return func(c *call, _ *party) string { return c.facts.Trunk }, true
		case "direction":
			return func(c *call, _ *party) string { return c.direction }, true
		}
	case ast.SelectKind:
		person, field, ok := s.field(e)
		if ok && field != partyInternal && field != partyKnown && field != partyGroups {
			return func(c *call, p *party) string { return person(c, p).text(field) }, true
		}
	case ast.CallKind:
		return s.value(e.AsCall())
	}
	return nil, false
}

func (s shortcut) number(e ast.Expr) (intOf, bool) {
	switch e.Kind() {
	case ast.LiteralKind:
		n, ok := e.AsLiteral().(types.Int)
		return func(*call, *party) int64 { return int64(n) }, ok
	case ast.IdentKind:
		switch e.AsIdent() {
		case s.loop:
		case "hour":
			return func(c *call, _ *party) int64 { return int64(c.local.Hour()) }, true
		case "minute":
			return func(c *call, _ *party) int64 { return int64(c.local.Minute()) }, true
		case "weekday":
			return func(c *call, _ *party) int64 { return c.isoWeekday() }, true
		case "streams":
			return func(c *call, _ *party) int64 { return int64(c.streams) }, true
		}
	}
	return nil, false
}

func (s shortcut) call(e ast.CallExpr) (test, bool) {
	args := e.Args()
	if e.IsMemberFunction() {
		args = append([]ast.Expr{e.Target()}, args...)
	}
	switch {
	case e.FunctionName() == operators.LogicalNot && len(args) == 1:
		a, ok := s.test(args[0])
		return func(c *call, p *party) bool { return !a(c, p) }, ok
	case len(args) != 2:
		return nil, false
	}
	switch e.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr:
		a, okA := s.test(args[0])
		if e.FunctionName() == operators.LogicalAnd {
			b, okB := s.having(args[0]).test(args[1])
			return func(c *call, p *party) bool { return a(c, p) && b(c, p) }, okA && okB
		}
		b, okB := s.test(args[1])
		return func(c *call, p *party) bool { return a(c, p) || b(c, p) }, okA && okB
	case operators.In:
		return s.member(args[0], args[1])
	case "startsWith", "endsWith", "contains", "matches":
		return s.textFunction(e.FunctionName(), args[0], args[1])
	}
	return s.compare(e.FunctionName(), args[0], args[1])
}

func (s shortcut) compare(operator string, left, right ast.Expr) (test, bool) {
	if a, ok := s.text(left); ok {
		b, ok := s.text(right)
		switch operator {
		case operators.Equals:
			return func(c *call, p *party) bool { return a(c, p) == b(c, p) }, ok
		case operators.NotEquals:
			return func(c *call, p *party) bool { return a(c, p) != b(c, p) }, ok
		}
		return nil, false
	}
	a, okA := s.number(left)
	b, okB := s.number(right)
	ok := okA && okB
	switch operator {
	case operators.Equals:
		return func(c *call, p *party) bool { return a(c, p) == b(c, p) }, ok
	case operators.NotEquals:
		return func(c *call, p *party) bool { return a(c, p) != b(c, p) }, ok
	case operators.Less:
		return func(c *call, p *party) bool { return a(c, p) < b(c, p) }, ok
	case operators.LessEquals:
		return func(c *call, p *party) bool { return a(c, p) <= b(c, p) }, ok
	case operators.Greater:
		return func(c *call, p *party) bool { return a(c, p) > b(c, p) }, ok
	case operators.GreaterEquals:
		return func(c *call, p *party) bool { return a(c, p) >= b(c, p) }, ok
	}
	return nil, false
}

// member compiles membership in a list of literal texts.
func (s shortcut) member(element, list ast.Expr) (test, bool) {
	if k, ok := s.mapKey(list, element); ok {
		return func(c *call, _ *party) bool { _, there := k.values(c)[k.key]; return there }, true
	}
	a, ok := s.text(element)
	if person, field, isField := s.field(list); ok && isField && field == partyGroups {
		return func(c *call, p *party) bool { return slices.Contains(person(c, p).groups(), a(c, p)) }, true
	}
	if !ok || list.Kind() != ast.ListKind {
		return nil, false
	}
	set := make(map[string]bool)
	for _, e := range list.AsList().Elements() {
		if e.Kind() != ast.LiteralKind {
			return nil, false
		}
		t, ok := e.AsLiteral().(types.String)
		if !ok {
			return nil, false
		}
		set[string(t)] = true
	}
	return func(c *call, p *party) bool { return set[a(c, p)] }, true
}

func (s shortcut) textFunction(name string, target, argument ast.Expr) (test, bool) {
	a, okA := s.text(target)
	b, okB := s.text(argument)
	ok := okA && okB
	switch name {
	case "startsWith":
		return func(c *call, p *party) bool { return strings.HasPrefix(a(c, p), b(c, p)) }, ok
	case "endsWith":
		return func(c *call, p *party) bool { return strings.HasSuffix(a(c, p), b(c, p)) }, ok
	case "contains":
		return func(c *call, p *party) bool { return strings.Contains(a(c, p), b(c, p)) }, ok
	}
	if !ok || argument.Kind() != ast.LiteralKind {
		return nil, false
	}
	re, err := regexp.Compile(b(nil, nil))
	if err != nil {
		return nil, false
	}
	return func(c *call, p *party) bool { return re.MatchString(a(c, p)) }, true
}

// every compiles exists and all over the participants, as CEL's macros write them out.
func (s shortcut) every(e ast.ComprehensionExpr) (test, bool) {
	over := e.IterRange()
	if s.loop != "" || over.Kind() != ast.IdentKind || over.AsIdent() != "participants" || e.HasIterVar2() || e.IterVar() == "participants" ||
		e.AccuInit().Kind() != ast.LiteralKind || e.LoopStep().Kind() != ast.CallKind || !isIdent(e.Result(), e.AccuVar()) {
		return nil, false
	}
	from, isBool := e.AccuInit().AsLiteral().(types.Bool)
	step := e.LoopStep().AsCall()
	want := operators.LogicalOr // exists begins with false and ors, all begins with true and ands
	if from {
		want = operators.LogicalAnd
	}
	if !isBool || step.FunctionName() != want || len(step.Args()) != 2 || !isIdent(step.Args()[0], e.AccuVar()) {
		return nil, false
	}
	inner, ok := shortcut{loop: e.IterVar(), there: s.there}.test(step.Args()[1])
	return func(c *call, _ *party) bool {
		for _, p := range c.parties {
			if inner(c, p) != bool(from) {
				return !bool(from)
			}
		}
		return bool(from)
	}, ok
}

func isIdent(e ast.Expr, name string) bool { return e.Kind() == ast.IdentKind && e.AsIdent() == name }
