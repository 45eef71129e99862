package policy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"go.yaml.in/yaml/v3"
)

// MaxCost is what a condition may cost at most, in CEL's units (about one comparison each), for a call with the most and the
// longest facts. It admits anything but a product of three lists, and bounds a condition's time without watching it run.
const MaxCost = 1_000_000

// Sizes of the largest call that the cost of conditions is estimated for.
const (
	maxParticipants = 64
	maxEntries      = 128  // of headers, ext and call_ids
	maxText         = 1024 // bytes of any text
)

// maxCondition is the longest condition, in characters.
const maxCondition = 8192

// A compiler turns conditions into programs.
type compiler struct {
	r   *reader
	env *cel.Env
	err error
}

func newCompiler(r *reader) *compiler {
	registry, err := types.NewRegistry()
	if err != nil {
		return &compiler{r: r, err: err}
	}
	env, err := cel.NewEnv(
		cel.CustomTypeProvider(provider{registry}),
		cel.CustomTypeAdapter(registry),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
		cel.Variable("src", cel.StringType),
		cel.Variable("tenant", cel.StringType),
		cel.Variable("trunk", cel.StringType),
		cel.Variable("holiday", cel.BoolType),
		cel.Variable("participants", cel.ListType(participantType)),
		cel.Variable("caller", participantType),
		cel.Variable("callee", participantType),
		cel.Variable("direction", cel.StringType),
		cel.Variable("streams", cel.IntType),
		cel.Variable("mixed", cel.BoolType),
		cel.Variable("headers", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("ext", cel.MapType(cel.StringType, cel.StringType)),
		cel.Variable("call_ids", cel.ListType(cel.StringType)),
		cel.Variable("now", cel.TimestampType),
		cel.Variable("hour", cel.IntType),
		cel.Variable("minute", cel.IntType),
		cel.Variable("weekday", cel.IntType),
		cel.Variable("date", cel.StringType),
	)
	return &compiler{r: r, env: env, err: err}
}

// A condition is a compiled `when`.
type condition struct {
	program cel.Program
	fast    test // nil: only the program knows it
}

// condition compiles the condition in a scalar, or reports what is wrong with it and gives nil.
func (c *compiler) condition(n *yaml.Node, path string) *condition {
	if c.err != nil {
		c.r.problem(n, path, "conditions cannot be compiled: %v", c.err)
		return nil
	}
	checked, issues := c.env.Compile(n.Value)
	if issues.Err() != nil {
		for _, e := range issues.Errors() {
			c.problemAt(n, path, e.Location.Line(), e.Location.Column(), e.Message)
		}
		return nil
	}
	if checked.OutputType() != cel.BoolType {
		c.r.problem(n, path, "must be true or false, and is of type %s", checked.OutputType())
		return nil
	}
	if c.forbidden(n, path, checked) {
		return nil
	}
	estimate, err := c.env.EstimateCost(checked, largestCall{})
	if err != nil || estimate.Max > MaxCost {
		c.r.problem(n, path, "costs too much: up to %s units for a large call, and %d are allowed; ask fewer lists at once",
			costText(estimate.Max, err), MaxCost)
		return nil
	}
	program, err := c.env.Program(checked, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		c.r.problem(n, path, "cannot be compiled: %v", err)
		return nil
	}
	compiled := &condition{program: program}
	if fast, ok := (shortcut{}).test(checked.NativeRep().Expr()); ok {
		compiled.fast = fast
	}
	return compiled
}

func costText(n uint64, err error) string {
	if err != nil || n == math.MaxUint64 {
		return "countless"
	}
	return fmt.Sprint(n)
}

// problemAt reports a problem at a place inside a condition.
func (c *compiler) problemAt(n *yaml.Node, path string, line, column int, message string) {
	at, col, exact := c.r.inside(n, line, column)
	if !exact {
		message = fmt.Sprintf("%s (line %d, column %d of the condition)", message, line, column+1)
	}
	c.r.problems = append(c.r.problems, Problem{at, col, path, message})
}

// forbidden reports what CEL lets through and a condition may not say: patterns that cannot be compiled, or that are not
// literals (they would be compiled with every call, from text that others send), and participants made up.
func (c *compiler) forbidden(n *yaml.Node, path string, checked *cel.Ast) bool {
	before := len(c.r.problems)
	info := checked.NativeRep().SourceInfo()
	report := func(e ast.Expr, format string, args ...any) {
		where := info.GetStartLocation(e.ID())
		c.problemAt(n, path, where.Line(), where.Column(), fmt.Sprintf(format, args...))
	}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch {
		case e.Kind() == ast.StructKind && e.AsStruct().TypeName() == participantName:
			report(e, "a participant cannot be made")
		case e.Kind() == ast.CallKind && e.AsCall().FunctionName() == "matches":
			args := e.AsCall().Args()
			if len(args) == 0 {
				return
			}
			pattern := args[len(args)-1]
			if pattern.Kind() != ast.LiteralKind {
				report(pattern, "the pattern of matches() must be a literal")
			} else if _, err := regexp.Compile(fmt.Sprint(pattern.AsLiteral().Value())); err != nil {
				report(pattern, "the pattern cannot be read: %v", err)
			}
		}
	}))
	return len(c.r.problems) > before
}

// largestCall tells the estimator of costs how large the facts may be.
type largestCall struct{}

func (largestCall) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

func (largestCall) EstimateSize(n cost.AstNode) *cost.SizeEstimate {
	path := n.Path()
	if len(path) == 0 {
		return nil
	}
	size := cost.RangedSizeEstimate(0, maxText)
	if path[len(path)-1] == "groups" {
		size = cost.RangedSizeEstimate(0, maxGroupsOfUser)
	}
	if len(path) == 1 {
		switch path[0] {
		case "participants":
			size = cost.RangedSizeEstimate(0, maxParticipants)
		case "headers", "ext", "call_ids":
			size = cost.RangedSizeEstimate(0, maxEntries)
		}
	}
	return &size
}

// A provider adds the participant's type to CEL's own.
type provider struct{ types.Provider }

const participantName = "participant"

var participantType = types.NewObjectType(participantName)

// partyField describes the field of a participant at a place in party.fields.
func partyField(i int) *types.FieldType {
	t := types.StringType
	switch i {
	case partyInternal, partyKnown:
		t = types.BoolType
	case partyGroups:
		t = types.NewListType(types.StringType)
	}
	return &types.FieldType{
		Type: t,
		IsSet: func(v any) bool {
			p, ok := v.(*party)
			if i == partyGroups {
				return ok && len(p.groups()) > 0
			}
			return ok && p.field(i) != nobody.fields[i]
		},
		GetFrom: func(v any) (any, error) {
			p, ok := v.(*party)
			if !ok {
				return nil, errors.New("not a participant")
			}
			return p.field(i), nil
		},
	}
}

func (p provider) FindIdent(name string) (ref.Val, bool) {
	if name == participantName {
		return participantType, true
	}
	return p.Provider.FindIdent(name)
}

func (p provider) FindStructType(name string) (*types.Type, bool) {
	if name == participantName {
		return types.NewTypeTypeWithParam(participantType), true
	}
	return p.Provider.FindStructType(name)
}

func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if name == participantName {
		return slices.Sorted(maps.Keys(fieldPlaces)), true
	}
	return p.Provider.FindStructFieldNames(name)
}

func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == participantName {
		if i, ok := fieldPlaces[field]; ok {
			return partyField(i), true
		}
		return nil, false
	}
	return p.Provider.FindStructFieldType(name, field)
}

func (p provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if name == participantName {
		return types.NewErr("a participant cannot be made in a condition")
	}
	return p.Provider.NewValue(name, fields)
}
