//go:build !race

package storagetest

// raceDetector tells whether the race detector is at work.
const raceDetector = false
