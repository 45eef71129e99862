package srs

import (
	"reflect"
	"slices"

	"github.com/greffier/greffier/siprec"
)

// sameMedia compares m-lines, keys included.
func sameMedia(a, b siprec.Media) bool {
	if !slices.EqualFunc(a.Crypto, b.Crypto, sameCrypto) || !sameICE(a.ICE, b.ICE) {
		return false
	}
	a.Crypto, b.Crypto, a.ICE, b.ICE = nil, nil, nil, nil // secrets cannot be compared by reflection
	return reflect.DeepEqual(a, b)
}

func sameCrypto(a, b siprec.Crypto) bool { return a.Tag == b.Tag && a.SameKeys(b) }

func sameICE(a, b *siprec.ICE) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Ufrag == b.Ufrag && a.Pwd.Equal(b.Pwd)
}
