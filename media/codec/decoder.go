package codec

// A Format is an RTP payload format as SDP declares it.
type Format struct {
	Name      string // encoding name of a=rtpmap, in any case
	ClockRate int    // of the RTP timestamps, in hertz
	Channels  int    // 0 means 1 (RFC 8866 section 6.6)
	Params    string // value of a=fmtp without the payload type, as it came
}

// A Codec says how the payloads of a format are read.
type Codec struct {
	// Name is the canonical name, as in the registry of RTP payload formats.
	Name string
	// ClockRate is that of the RTP timestamps, in hertz. It is not always the rate of the sound (RFC 3551 section 4.5.2).
	ClockRate int
	// Rate is the highest sample rate at which the format carries sound, in hertz.
	Rate int
	// Law is PCMU or PCMA when every byte of a payload is one sample in that law; else 0.
	Law Encoding
	// New makes a decoder whose samples are at Rate, one channel. Each stream has its own.
	New func() (Decoder, error)
}

// A Kind says what a run of a payload is.
type Kind uint8

// The kinds.
const (
	// Sound is what the sender heard.
	Sound Kind = iota
	// Quiet is a run that the sender did not send: comfort noise, a silence descriptor, a frame without data. What a decoder
	// makes of it is made up, and is not recorded (promise 3); it is silence.
	Quiet
	// Bad is a run that the sender, or somebody before it, marked as damaged.
	Bad
)

// A Frame is a run of one payload.
type Frame struct {
	Samples int // at the codec's Rate
	Kind    Kind
}

// A Decoder turns the payloads of one stream, in the order of their sequence numbers, into samples. It is used by one goroutine.
type Decoder interface {
	// Frames appends what a payload holds to dst. It changes nothing, and fails when Decode would fail for the payload's form.
	Frames(dst []Frame, payload []byte) ([]Frame, error)
	// Decode appends the samples of all frames, linear 16 bit, to dst: as many as Frames says, whatever the payload. Runs that
	// are not Sound are zeros. It allocates nothing when dst is large enough. When it fails although Frames did not, the sound
	// cannot be read and is zeros: as many as Frames says are appended. When Frames fails, nothing is appended.
	Decode(dst []int16, payload []byte) ([]int16, error)
	// Recover appends the sound of the payload that was lost just before next, as far as next carries it (in-band FEC, RFC 7587
	// section 3.3); samples is how long the loss is. What it appends ends where next begins, is at most that long, and is zeros
	// where next carries nothing. It appends nothing when next carries none. It is called before Decode of next.
	Recover(dst []int16, next []byte, samples int) ([]int16, error)
	// Reset forgets what came before, as after a gap whose length is not known.
	Reset()
}
