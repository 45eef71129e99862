package recorder

// missingWarning stands in the sidecar of a recording of which an active stream brought nothing for a while.
const missingWarning = "media-missing"
