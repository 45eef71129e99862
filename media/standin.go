package media

import "time"

type Digit struct {
	Stream, Channel int
	Key             byte
	At              time.Time
	InBand          bool
}
