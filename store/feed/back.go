package feed

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Waits between two looks whether a source would have this node that is named before the one that it follows: one that had not heard yet of a node that has just joined does so within
// a second, and a relay that was started again has its followers back in some seconds. They are doubled, with as much again by chance, so that a source that is gone for good costs
// a dial in five to ten minutes, and one that comes and goes no more than that.
const (
	firstLook = time.Second
	lastLook  = 5 * time.Minute

	// lookTime is for one look: a connection, its handshake, and beats, of which there is one each second.
	lookTime = dialTime
)

// backError ends a connection: there is a source again that is named before this one.
type backError struct {
	index   int // in Sources
	address string
}

func (e *backError) Error() string {
	return fmt.Sprintf("the source %s, which is named before, is there again", e.address)
}

// look looks from time to time whether a source before the one at index would have this node, until ctx is done or one would: that ends the connection. wait is how long it waits first.
func (f *Follower) look(ctx context.Context, index int, wait *time.Duration, end context.CancelCauseFunc) {
	for pause(ctx, *wait+time.Duration(f.c.Random()%uint64(*wait))) {
		*wait = min(2**wait, lastLook)
		if own, beat := f.c.Copy.Head(), f.State().Beat; own.Lineage != beat.Lineage || own.Version < beat.Source {
			continue // it takes what its source has, maybe a snapshot: that would begin anew
		}
		for i, address := range f.c.Sources[:index] {
			err := f.wouldHave(ctx, address)
			if err == nil {
				end(&backError{i, address})
				return
			}
			f.c.Log.Debug("a source that is named before the one that is followed is of no use yet", "source", address, "error", err)
		}
	}
}

// wouldHave tells why a source is of no use to this node: it does not let it in, hears no beats of the root, or has not all that this node has. nil: it is of use.
func (f *Follower) wouldHave(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	own := f.c.Copy.Head()
	conn, err := f.c.Dial(ctx, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := conn.Write(f.hello(own, 0)); err != nil {
		return err
	}
	in := reader{r: bufio.NewReaderSize(conn, 4<<10), from: down}
	if _, err := f.readWelcome(&in); err != nil {
		return err
	}
	var at store.Version
	for {
		t, body, err := in.next()
		switch {
		case err != nil && ctx.Err() != nil:
			return fmt.Errorf("no beat came with what this node has: it is at version %d, the source at %d (0: there was none)", own.Version, at)
		case err != nil:
			return err
		case t == typeGoodbye:
			return goodbyeIn(body)
		case t != typeBeat:
			return &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
		}
		b, err := parseBeat(body)
		if err != nil {
			return &protocolError{err.Error()}
		}
		if at = b.Source; b.Lineage == own.Lineage && at >= own.Version {
			return nil
		}
	}
}
