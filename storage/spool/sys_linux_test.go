package spool

import "testing"

func TestReleaseTells(t *testing.T) {
	for release, want := range map[string]bool{
		"5.8.0": true, "5.8": true, "5.10-rc1": true, "6.1.0-13-amd64": true, "10.0.1": true, "5.8+": true,
		"5.7.19": false, "4.19.0-26": false, "4.9": false, "5": false, "": false, "x.y": false,
	} {
		if got := releaseTells(release); got != want {
			t.Errorf("%q: %v", release, got)
		}
	}
}
