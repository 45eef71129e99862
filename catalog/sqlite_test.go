package catalog_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/greffier/greffier/catalog"
)

// TestFileIsBusy: a file that another process keeps for too long is away, and is there again after that.
func TestFileIsBusy(t *testing.T) {
	at := place{file: file(t)}
	c, other := open(t, at), open(t, at)
	if _, err := c.Writer().Exec("PRAGMA busy_timeout = 50"); err != nil {
		t.Fatal(err)
	}
	keeps, err := other.Writer().Begin()
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{c.Put(t.Context(), full("01")), c.Doom(t.Context(), "01", "objected")} {
		if !errors.Is(err, catalog.ErrUnavailable) {
			t.Errorf("while another process writes: %v", err)
		}
	}
	if err := keeps.Rollback(); err != nil {
		t.Fatal(err)
	}
	put(t, c, full("01"))
}

// TestDiskIsFull: what does not fit any more is refused as a whole, and what was there stays.
func TestDiskIsFull(t *testing.T) {
	c := open(t, place{file: file(t)})
	put(t, c, full("01"))
	var pages int
	if err := c.Writer().QueryRow("PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Writer().Exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
	var err error
	for i := 0; err == nil && i < 1000; i++ {
		err = c.Put(t.Context(), full(fmt.Sprint("more", i)))
	}
	if !errors.Is(err, catalog.ErrUnavailable) {
		t.Errorf("when the disk is full: %v", err)
	}
	if _, err := c.Writer().Exec("PRAGMA max_page_count = 1000000"); err != nil {
		t.Fatal(err)
	}
	put(t, c, full("02"))
	if err := c.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
