// Package media receives the RTP of a recording session and puts its streams on one timeline: RTP in, blocks of interleaved
// samples out, and in the end one finished recording.
//
// A Receiver owns the sockets and drains them; a Recording is one session's share of it. Each recording has a timeline, a pure
// one, that places packets and commits what is old enough to a Sink, as Blocks. An Assembly reads the blocks back and makes a
// Plan, which writes the finished samples.
//
// # Where a packet belongs
//
// A position is an eighth of a millisecond since the recording's start, whatever the rate of the sound. The timestamp of a packet says where it belongs relative to
// its stream's other packets, and an anchor where the stream belongs:
//
//   - The promptest packet ends when it comes, as it was sent when its sound was complete. The first packet sets the anchor; when
//     those of the next 400 ms show that it was late, all of them move. The first sound may therefore be a packet's length before
//     the recording's start, at a negative position.
//   - Drift between clocks shows as packets that all come later and later, or earlier. It is taken out by repeating or dropping
//     single samples, or in silence at once, so that it stays below 10 ms at 500 ppm.
//   - When timestamps contradict arrivals, the timestamps jumped, and the anchor is set anew; but packets that are late because the
//     network was slow, and then come all at once, go where their timestamps say. A sender whose clock stood still in a silence is
//     told from a slow network by the pace at which its packets then come; the few that come until then are held.
//   - A packet that comes up to LateLimit late still fills the silence that was committed in its place. What is later is counted
//     and dropped. A duplicate never overwrites.
//
// Where nothing was placed is silence, and a Gap that says why. Nothing is made up, but for the single positions that correct drift.
//
// # When one recording follows another
//
// A session may carry one call after the other over the same ports. Yield parts them: what arrived before an instant is the one
// recording's, the rest the next one's. Sockets, keys, sequence numbers and the anchor go along; the next recording has its own
// position 0, its own sink and figures.
//
// # When a packet is decoded
//
// G.711 is kept as it came while nothing else comes. Any other packet is given its place when it comes and decoded, in the order of
// sequence numbers, when that place is about to be committed. The first sound of a higher rate raises the recording to 16 or 48 kHz;
// what was committed before is raised when the plan is written. No decoder conceals a loss or makes comfort noise.
//
// # What is never placed
//
// Packets from addresses that were not offered, of payload types that are not placed, of a second source that interleaves with the
// stream's; whatever arrives while its stream is inactive or the recording paused, and whatever was spoken in that time and
// arrives after it.
//
// # Telephone keys
//
// Open.Digits is told of the keys that are pressed, by events (RFC 4733) or by their tones in G.711 (ITU-T Q.23), each once; which keys
// they were is never stored. It may have the recording paused from the beginning of a key on. That is done within the drain that found
// the key, so that the rest of a card's number is not kept for as long as somebody needs to ask for a pause. What is younger than
// commitDelay is not committed yet, so that nothing has to be taken back from the sink.
//
// # What is left in memory
//
// Nothing of what was not to be kept. Batches are wiped after each drain, the rings where something is taken back or moves, and all of
// a recording when it is closed.
package media
