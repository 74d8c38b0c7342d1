package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// atNode has a node run both versions: on the queries that it answers, or on those of a file, which are sent there.
func (c *moduleTryCommand) atNode(p *process, request trial.Request, lists []large, file *tapFile, show *trying) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	if err := uploadTried(p, node, lists); err != nil {
		return err
	}
	t := admin.Trial{Request: request, OneIn: c.OneIn, Differences: c.JSON}
	var feed func(send func([]trial.Message) error) error
	if file == nil {
		t.Seconds = c.For.Seconds()
	} else {
		t.Messages, t.OneIn = true, 0
		feed = func(send func([]trial.Message) error) error { return c.feed(p, file, send) }
	}
	said := c.JSON || show.draws() || file != nil
	var begun atomic.Bool
	ctx, cancel := context.WithCancel(context.WithoutCancel(p.ctx))
	defer cancel()
	defer context.AfterFunc(p.ctx, func() {
		if begun.Load() {
			p.wait(ctx, lastReport)
		}
		cancel()
	})()
	end, known, err := node.TryModule(ctx, t, feed, func(l admin.TrialLine) error {
		if l.Difference != nil {
			show.difference(*l.Difference)
			return show.err
		}
		if !said {
			said = true
			if _, err := fmt.Fprintf(p.stderr, "looking at what the node at %s answers, for %v\n", node.Node(), c.For); err != nil {
				return fmt.Errorf("writing the output: %w", err)
			}
		}
		begun.Store(true)
		return errors.Join(show.progress(l.Report.Report, tookOf(l.Report)), p.ctx.Err()) // interrupted, it was for this report that was waited
	})
	if known {
		if failed := show.last(end.Report, tookOf(&end)); failed != nil {
			return failed
		}
	}
	var problem *admin.Problem
	if errors.As(err, &problem) && problem.Type == admin.ProblemPrefix+"trial" && problem.Detail != "" { // why there is none, or it ended; that it is the trial is known. Others need their title
		err = hinted{fmt.Errorf("asking the node at %s: %s", node.Node(), problem.Detail), problem.Hint}
	}
	return cmp.Or(err, p.ctx.Err())
}

// lastReport is for how long who interrupts waits for a report of what was seen until then: the node tells one each second, and the end of a file's queries at once.
const lastReport = 1500 * time.Millisecond

func tookOf(r *admin.TrialReport) time.Duration {
	return time.Duration(r.Seconds * float64(time.Second))
}

// feedOctets is how many octets of messages are sent together: their JSON is a third larger, and far below admin.MaxTrialBatch.
const feedOctets = 256 << 10

// feedTime is for how long queries are held back to be sent with others, where they come one by one.
const feedTime = time.Second

// feed sends a file's queries.
func (c *moduleTryCommand) feed(p *process, file *tapFile, send func([]trial.Message) error) error {
	var batch []trial.Message
	octets, sent := 0, time.Now()
	err := file.each(c.OneIn, func(m *trial.Message) error {
		if err := p.ctx.Err(); err != nil {
			return err
		}
		batch = append(batch, *m)
		octets += len(m.Query) + len(m.Response) + 100
		if octets < feedOctets && time.Since(sent) < feedTime {
			return nil
		}
		err := send(batch)
		batch, octets, sent = batch[:0], 0, time.Now()
		return err
	})
	if (err == nil || p.ctx.Err() != nil) && len(batch) > 0 {
		err = cmp.Or(send(batch), err)
	}
	file.read.Store(true)
	return err
}
