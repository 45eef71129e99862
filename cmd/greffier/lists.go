package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/greffier/greffier/audit"
	"github.com/greffier/greffier/catalog"
	"github.com/greffier/greffier/policy"
)

// listsInterval is how often the files and the list of objections are looked at. A file is taken up at the second look that finds it changed.
const listsInterval = time.Second

// Events of what calls are decided by.
const (
	eventPolicyLoaded      = "policy.loaded"
	eventPolicySystematic  = "policy.systematic" // a mandate by which every call is recorded
	eventPolicyRejected    = "policy.rejected"
	eventDirectoryLoaded   = "directory.loaded"
	eventDirectoryRejected = "directory.rejected"
)

// lists are what calls are decided by, as it is now: the policy, the directory, and the standing objections. Each is replaced as a whole, and
// only by a good one; each that comes into force is witnessed before it does.
type lists struct {
	catalog  *catalog.Catalog
	audit    *audit.Log
	auditDir string
	log      *zap.Logger
	options  policy.Options
	key      []byte               // of objectors
	warn     func(*policy.Policy) // told of each policy before it is in force

	policy    atomic.Pointer[inForce]
	directory atomic.Pointer[policy.Directory]
	objectors atomic.Pointer[policy.Objectors]

	mu            sync.Mutex // held while something is looked at; protects what follows
	policyFile    *watchedFile
	directoryFile *watchedFile // nil: there is none; likewise above
	version       int64        // of the objections in use
	unread        bool         // they could not be read the last time
}

// inForce is a policy, and since when it decides.
type inForce struct {
	policy *policy.Policy
	since  time.Time
}

// Policy, Directory and Objectors are those in force. There is always a policy; the directory may be nil.
func (l *lists) Policy() *policy.Policy       { return l.policy.Load().policy }
func (l *lists) Directory() *policy.Directory { return l.directory.Load() }
func (l *lists) Objectors() *policy.Objectors { return l.objectors.Load() }

// open brings everything into force that the server begins with. What does not load is an error.
func (l *lists) open(ctx context.Context, c Config, p *policy.Policy) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.enforce(ctx, p); err != nil {
		return err
	}
	if c.Policy != "" {
		l.policyFile = &watchedFile{path: c.Policy, limit: policy.MaxBytes, settled: p.Digest()}
	}
	if c.Directory != "" {
		d, err := loadDirectory(c.Directory)
		if err != nil {
			return err
		}
		if err := l.know(ctx, d); err != nil {
			return err
		}
		l.directoryFile = &watchedFile{path: c.Directory, limit: policy.MaxDirectoryBytes, settled: d.Digest()}
	}
	err := l.refresh(ctx)
	if errors.Is(err, catalog.ErrUnavailable) {
		l.log.Error("the catalog is away: the list of objections is read from the audit log", zap.Error(err))
		err = l.remember()
	}
	return err
}

// loadDirectory reads the directory. Its error says where problems are and not what: they may name somebody.
func loadDirectory(path string) (*policy.Directory, error) {
	d, err := policy.LoadDirectory(path)
	if wrong, ok := err.(*policy.Error); ok {
		return nil, fmt.Errorf("%s: the directory does not load: %d problems, the first in line %d; `greffier config check` shows them", path, len(wrong.Problems), firstLine(wrong))
	}
	return d, err
}

// firstLine is where the first problem is; 0 when it concerns the whole document.
func firstLine(e *policy.Error) int {
	if len(e.Problems) == 0 {
		return 0
	}
	return e.Problems[0].Line
}

// enforce brings a policy into force, after it is witnessed with every mandate by which it records everything.
func (l *lists) enforce(ctx context.Context, p *policy.Policy) error {
	now := time.Now()
	events := []audit.Event{{Time: now, Type: eventPolicyLoaded, Data: map[string]any{"digest": p.Digest()}}}
	for _, m := range p.Systematic() {
		events = append(events, audit.Event{Time: now, Type: eventPolicySystematic, Data: m})
	}
	if _, err := l.audit.AppendAll(ctx, events...); err != nil {
		return fmt.Errorf("witness policy: %w", err)
	}
	l.warn(p)
	l.policy.Store(&inForce{p, now})
	return nil
}

// know brings a directory into force.
func (l *lists) know(ctx context.Context, d *policy.Directory) error {
	err := l.witness(ctx, eventDirectoryLoaded, map[string]any{"digest": d.Digest(), "users": d.Users()})
	if err == nil {
		l.directory.Store(d)
	}
	return err
}

func (l *lists) witness(ctx context.Context, typ string, data any) error {
	if _, err := l.audit.Append(ctx, audit.Event{Time: time.Now(), Type: typ, Data: data}); err != nil {
		return fmt.Errorf("witness %s: %w", typ, err)
	}
	return nil
}

// run looks for changes until ctx ends.
func (l *lists) run(ctx context.Context) error {
	tick := time.NewTicker(listsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			l.look(ctx, false)
			l.Refresh(ctx)
		}
	}
}

// Reload takes up what has changed in the files at once. What is not good is logged and witnessed, and leaves the old in force.
func (l *lists) Reload(ctx context.Context) { l.look(ctx, true) }

func (l *lists) look(ctx context.Context, atOnce bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lookAt(ctx, l.policyFile, "policy", atOnce, eventPolicyRejected, func(b []byte) error {
		p, err := policy.Parse(b, l.options)
		if err != nil || p.Digest() == l.Policy().Digest() { // a bad one has been put right
			return err
		}
		return l.enforce(ctx, p)
	})
	l.lookAt(ctx, l.directoryFile, "directory", atOnce, eventDirectoryRejected, func(b []byte) error {
		d, err := policy.ParseDirectory(b)
		if err != nil || d.Digest() == l.Directory().Digest() {
			return err
		}
		return l.know(ctx, d)
	})
}

// lookAt looks at a file, and has a new content taken. What cannot be taken is told of once.
func (l *lists) lookAt(ctx context.Context, f *watchedFile, what string, atOnce bool, rejected string, take func([]byte) error) {
	if f == nil {
		return
	}
	content, fresh, err := f.look(time.Now(), atOnce)
	var wrong *policy.Error
	switch {
	case err != nil && f.trouble:
		return
	case err != nil:
		l.log.Error("a file cannot be read: what it said before stays in force", zap.String("file", what), zap.Error(err))
		if f.trouble = true; l.witness(ctx, rejected, map[string]any{"reason": "unreadable"}) != nil {
			f.trouble = false
		}
		return
	}
	f.trouble = false
	if !fresh {
		return
	}
	switch err = take(content); {
	case err == nil:
		l.log.Info("a file was taken up", zap.String("file", what), zap.String("digest", f.settled))
	case errors.As(err, &wrong):
		l.log.Error("a file does not load: what it said before stays in force; greffier config check shows the problems", zap.String("file", what),
			zap.Int("problems", len(wrong.Problems)), zap.Int("line", firstLine(wrong)))
		data := map[string]any{"reason": "does_not_load", "digest": f.settled, "problems": len(wrong.Problems)}
		if err := l.witness(ctx, rejected, data); err != nil {
			f.again()
		}
	default:
		l.log.Error("a file could not be taken up: it is tried again", zap.String("file", what), zap.Error(err))
		f.again()
	}
}

// Refresh brings the standing objections up to date. When they cannot be read the old ones stay, which is logged once.
func (l *lists) Refresh(ctx context.Context) {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := l.refresh(ctx)
	if err != nil && !l.unread && ctx.Err() == nil {
		l.log.Error("the list of objections cannot be read: the last one stays in use", zap.Error(err))
	}
	l.unread = err != nil
}

// noVersion is the version of a list that is not the catalog's.
const noVersion = -1

// objectionsPage is how many objections are read at once.
const objectionsPage = 10_000

func (l *lists) refresh(ctx context.Context) error {
	version, err := l.catalog.ObjectionsVersion(ctx)
	if err != nil || version == l.version && l.Objectors() != nil {
		return err
	}
	o, err := standing(ctx, l.catalog, l.key)
	if err != nil {
		return err
	}
	l.objectors.Store(o)
	l.version = version
	return nil
}

// standing reads the list of objections.
func standing(ctx context.Context, c *catalog.Catalog, key []byte) (*policy.Objectors, error) {
	var text bytes.Buffer
	for after := ""; ; {
		page, err := c.Objections(ctx, after, objectionsPage)
		if err != nil {
			return nil, err
		}
		for _, o := range page {
			text.WriteString(o.Hash + "\n")
			after = o.Hash
		}
		if len(page) < objectionsPage {
			return policy.ParseObjectors(text.Bytes(), key)
		}
	}
}
