//go:build !amr

package codec

// newAMR is nil: this build cannot decode AMR.
var newAMR func(family *amrFamily, aligned bool) (Decoder, error)
