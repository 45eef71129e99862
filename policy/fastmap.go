package policy

import (
	"slices"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Maps, as far as asking them cannot fail: for a literal key, and for its value only where the same condition has asked for the key
// before, as `"X-Queue" in headers && headers["X-Queue"] == "sales"` does.

// A mapKey is a literal key of a map of texts, "headers" or "ext".
type mapKey struct{ in, key string }

// values gives the map. The one that is asked for rarely is made when it is.
func (k mapKey) values(c *call) map[string]string {
	if k.in == "headers" {
		return c.facts.Headers
	}
	return c.extended()
}

// asked reads `"key" in headers`, or in ext.
func (s shortcut) asked(e ast.Expr) (mapKey, bool) {
	if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != operators.In || len(e.AsCall().Args()) != 2 {
		return mapKey{}, false
	}
	args := e.AsCall().Args()
	return s.mapKey(args[1], args[0])
}

func (s shortcut) mapKey(in, key ast.Expr) (mapKey, bool) {
	if in.Kind() != ast.IdentKind || in.AsIdent() == s.loop || in.AsIdent() != "headers" && in.AsIdent() != "ext" || key.Kind() != ast.LiteralKind {
		return mapKey{}, false
	}
	text, ok := key.AsLiteral().(types.String)
	return mapKey{in.AsIdent(), string(text)}, ok
}

// value reads `headers["key"]` where the key is known to be there.
func (s shortcut) value(e ast.CallExpr) (textOf, bool) {
	if e.FunctionName() != operators.Index || len(e.Args()) != 2 {
		return nil, false
	}
	k, ok := s.mapKey(e.Args()[0], e.Args()[1])
	return func(c *call, _ *party) string { return k.values(c)[k.key] }, ok && slices.Contains(s.there, k)
}

// having is the shortcut for what is asked only if e holds: the keys that e asks for are there then.
func (s shortcut) having(e ast.Expr) shortcut {
	if k, ok := s.asked(e); ok {
		s.there = append(slices.Clone(s.there), k)
	} else if e.Kind() == ast.CallKind && e.AsCall().FunctionName() == operators.LogicalAnd {
		for _, part := range e.AsCall().Args() {
			s = s.having(part)
		}
	}
	return s
}
