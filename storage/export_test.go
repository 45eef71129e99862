package storage

import "time"

// Tests of the package's inside.
var (
	ParseDirMeta = parseDirMeta
	CheckPrefix  = checkPrefix
	LongestDays  = longestDays
	ReadRules    = readLifecycle
	WriteRule    = writeRule
)

// EncodeAgain writes metadata that were parsed.
func EncodeAgain(m *dirMeta) ([]byte, error) { return m.encode() }

// OnStep calls f at each step of a change.
func (d *Dir) OnStep(f func(string)) { d.step = f }

// Judge makes a report of the answers to a probe, by the names of its rows.
func Judge(got map[string]string) Report {
	seen := map[string]sight{}
	for name, answer := range got {
		seen[name] = sight{got: answer}
	}
	return judge(seen)
}

// ClockIsRight says whether a service's clock that is ahead by so much is near enough.
func ClockIsRight(skew time.Duration) bool { return judgeClock(skew).got == clockWant() }
