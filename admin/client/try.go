package client

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

const (
	// tryReady is how long a node may need until both versions are ready: an upload of 16 MiB, and others that are compiled before it.
	tryReady = 150 * time.Second
	// maxTrialSilence is how long a trial may be without a line: it has one a second.
	maxTrialSilence = 30 * time.Second
	// maxTrialLine bounds a line: 200 groups of five examples, each of two verdicts with their records.
	maxTrialLine = 64 << 20
)

// TryModule has the node run a new version of a module in the shadow of the one that runs, and hands on what it tells. feed, if not nil, sends the queries to be looked at, with as many calls of send as it takes; it is called when the
// node is ready, and by another goroutine. It returns the last report, and with it why the trial ended, if not since it was over. known tells whether there is a report at all.
func (c *Client) TryModule(ctx context.Context, t admin.Trial, feed func(send func([]trial.Message) error) error, tell func(admin.TrialLine) error) (end admin.TrialReport, known bool, err error) {
	head, err := json.Marshal(t)
	if err != nil {
		return end, false, c.wrap(err, "")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(tryReady, func() { cancel(errSilentTrial) })
	defer silence.Stop()
	var body io.Reader = bytes.NewReader(head)
	ready, fed := make(chan struct{}), make(chan error, 1)
	fed <- nil
	if feed != nil {
		pipe, w := io.Pipe()
		body = pipe
		defer pipe.Close()
		<-fed
		go func() { fed <- feedBody(ctx, head, w, ready, feed) }()
	}
	response, err := c.sendBody(ctx, http.MethodPost, "/api/v1/modules/try", nil, body)
	if err != nil {
		return end, false, c.endedTrial(ctx, err)
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxTrialLine)
	for lines.Scan() {
		silence.Reset(maxTrialSilence)
		var l admin.TrialLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			if cut := cmp.Or(ctx.Err(), lines.Err()); cut != nil { // then the last line is what there was of it
				return end, known, c.endedTrial(ctx, c.broken(cut))
			}
			return end, known, c.strange(err)
		}
		if l.Report != nil {
			if !known {
				known = true
				close(ready)
			}
			end = *l.Report
		}
		if l.End != nil || l.Problem != nil {
			if l.End != nil {
				end = *l.End
			}
			if l.Problem != nil {
				return end, known, c.wrap(l.Problem, l.Problem.Hint)
			}
			return end, known, <-fed
		}
		silence.Stop() // tell may take its time
		if err := tell(l); err != nil {
			return end, known, err
		}
		silence.Reset(maxTrialSilence)
	}
	err = cmp.Or(ctx.Err(), lines.Err(), io.ErrUnexpectedEOF)
	if errors.Is(err, bufio.ErrTooLong) {
		return end, known, c.strange(err)
	}
	return end, known, c.endedTrial(ctx, c.broken(err))
}

var errSilentTrial = errors.New("it has said nothing of the trial for too long")

// endedTrial is the error of a stream that broke off: that of a node that is silent says so.
func (c *Client) endedTrial(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSilentTrial {
		return c.wrap(errSilentTrial, "is the node still there? ananas status asks it")
	}
	return err
}

// feedBody writes the request, and behind it, when the node is ready, the queries.
func feedBody(ctx context.Context, head []byte, w *io.PipeWriter, ready <-chan struct{}, feed func(func([]trial.Message) error) error) error {
	defer w.Close() // the node tells what it has seen until then
	if _, err := w.Write(head); err != nil {
		return nil // who reads the answer knows why
	}
	select {
	case <-ready:
	case <-ctx.Done():
		return nil
	}
	gone := false
	err := feed(func(all []trial.Message) error {
		b, err := json.Marshal(admin.TrialMessages{Messages: all})
		if err == nil {
			if _, err = w.Write(b); err != nil {
				gone = true
			}
		}
		return err
	})
	if gone {
		return nil
	}
	return err
}
