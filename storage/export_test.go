package storage

// Tests of the package's inside.
var (
	ParseDirMeta = parseDirMeta
	CheckPrefix  = checkPrefix
)

// EncodeAgain writes metadata that were parsed.
func EncodeAgain(m *dirMeta) ([]byte, error) { return m.encode() }

// OnStep calls f at each step of a change.
func (d *Dir) OnStep(f func(string)) { d.step = f }
