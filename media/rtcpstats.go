package media

// A receptionReport is one report block of an RTCP receiver report, RFC 3550
// section 6.4.1, in the units of the wire.
type receptionReport struct {
	SSRC         uint32
	FractionLost uint8  // of 256, since the last report
	TotalLost    int32  // signed 24 bit
	LastSequence uint32 // extended highest sequence number
	Jitter       uint32 // in timestamp units
	LastSR       uint32 // middle 32 bits of the NTP time of the last sender report; 0: none
	Delay        uint32 // since that report, in 1/65536 s
}
