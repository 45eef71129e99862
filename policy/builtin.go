package policy

import _ "embed"

//go:embed builtin.yaml
var builtin []byte

// Builtin is the policy in force when none is configured. It records nothing: whom to record, and why, is for the operator to
// say.
func Builtin(o Options) (*Policy, error) { return Parse(builtin, o) }
