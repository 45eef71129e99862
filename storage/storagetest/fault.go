package storagetest

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/greffier/greffier/storage"
)

// Op names a method of a store.
type Op string

const (
	OpPut    Op = "put"
	OpLock   Op = "lock"
	OpHold   Op = "hold"
	OpDelete Op = "delete"
	OpOpen   Op = "open"
	OpStat   Op = "stat"
	OpList   Op = "list"
	OpCheck  Op = "check"
)

// Effect is what a fault leaves behind.
type Effect string

const (
	// NotDone: the call fails and nothing has changed. It is all that a read can suffer.
	NotDone Effect = "not done"
	// DoneButLost: the change is made and durable, and the call fails all the same, as when an answer is lost.
	DoneButLost Effect = "done but lost"
	// Slow: the call waits until the fault's Wait is closed, or its context ends, and then succeeds.
	Slow Effect = "slow"
)

// A Fault spoils one call: the next that it matches.
type Fault struct {
	Op     Op     // empty: any of put, lock, hold, delete
	Suffix string // of the key; empty: any key
	Effect Effect
	Err    error           // what the call returns; nil: storage.ErrUnavailable
	Wait   <-chan struct{} // for Slow
}

func (f Fault) String() string { return fmt.Sprintf("%s %q %s", f.Op, f.Suffix, f.Effect) }

func (f Fault) matches(op Op, key string) bool {
	isWrite := op == OpPut || op == OpLock || op == OpHold || op == OpDelete
	return (f.Op == op || f.Op == "" && isWrite) && strings.HasSuffix(key, f.Suffix)
}

// Script adds faults. Each call takes the first that matches it, and no fault is used twice.
func (f *Fake) Script(faults ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.script = append(f.script, faults...)
}

// Pending gives the faults that were not met yet.
func (f *Fake) Pending() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.script)
}

// next takes the fault for a call, if there is one, and notes the call if it is a write.
func (f *Fake) next(op Op, key string, write bool) (Fault, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if write {
		f.calls = append(f.calls, string(op)+" "+key)
	}
	for i, fault := range f.script {
		if fault.matches(op, key) {
			f.script = slices.Delete(f.script, i, i+1)
			return fault, true
		}
	}
	return Fault{}, false
}

// wait is the slowness of a fault.
func (f Fault) wait(ctx context.Context) error {
	if f.Effect != Slow {
		return nil
	}
	select {
	case <-f.Wait:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (f Fault) err() error {
	if f.Err != nil {
		return f.Err
	}
	return fmt.Errorf("%w: scripted fault, %s", storage.ErrUnavailable, f.Effect)
}

// meet runs the fault for a read.
func (f *Fake) meet(ctx context.Context, op Op, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	fault, met := f.next(op, key, false)
	if err := fault.wait(ctx); err != nil {
		return err
	}
	if met && fault.Effect != Slow {
		return fault.err()
	}
	return nil
}

// write runs a change, alone, with its fault.
func (f *Fake) write(ctx context.Context, op Op, key string, change func() error) error {
	f.t.Helper()
	if err := ctx.Err(); err != nil {
		return err
	}
	fault, met := f.next(op, key, true)
	if err := fault.wait(ctx); err != nil {
		return err
	}
	if met && fault.Effect == NotDone {
		return fault.err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	err := change()
	if err == nil && met && fault.Effect == DoneButLost {
		return fault.err()
	}
	return err
}
