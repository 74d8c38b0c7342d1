package node

import (
	"context"
	"errors"
	"log/slog"
	"testing"

	"github.com/ananas-edge/ananas/store/replica"
)

// A node that is started while the one before it still ends waits for the copy, and says so.
func TestCopyOfAnEndingNode(t *testing.T) {
	folder := t.TempDir()
	before, err := replica.Open(folder, replica.Options{})
	if err != nil {
		t.Fatal(err)
	}
	said := make(saidOnce, 1)
	opened := make(chan error, 1)
	go func() {
		c, err := openCopy(t.Context(), folder, replica.Options{Log: slog.New(said)})
		if err == nil {
			err = c.Close()
		}
		opened <- err
	}()
	<-said
	if err := before.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("the copy was closed, and is not opened: %v", err)
	}

	before, err = replica.Open(folder, replica.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-said; cancel() }()
	var used *replica.InUseError
	if _, err := openCopy(ctx, folder, replica.Options{Log: slog.New(said)}); !errors.As(err, &used) {
		t.Errorf("the copy is open elsewhere, and that is not told: %v", err)
	}
}

// saidOnce is sent each line of a log.
type saidOnce chan struct{}

func (s saidOnce) Enabled(context.Context, slog.Level) bool  { return true }
func (s saidOnce) Handle(context.Context, slog.Record) error { s <- struct{}{}; return nil }
func (s saidOnce) WithAttrs([]slog.Attr) slog.Handler        { return s }
func (s saidOnce) WithGroup(string) slog.Handler             { return s }
