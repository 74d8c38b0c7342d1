package feed

import (
	"bufio"
	"context"
	"log/slog"
	"net"
	"time"
)

// ReporterConfig is what a reporter is made of.
type ReporterConfig struct {
	Address string
	Dial    func(ctx context.Context, address string) (net.Conn, error)
	Own     func() []byte // the report; at most MaxReport octets
	Log     *slog.Logger
}

// Reporter hands reports to a node that it does not follow: members of a root tell each other how the nodes are that they hear of.
type Reporter struct{ c ReporterConfig }

// NewReporter makes one; Run reports.
func NewReporter(c ReporterConfig) *Reporter {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Reporter{c}
}

// Run reports, and connects again where that ends, until ctx is done.
func (r *Reporter) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := r.once(ctx); err != nil && ctx.Err() == nil {
			r.c.Log.Debug("another member of the root can't be told how nodes are", "address", r.c.Address, "error", err)
		}
		if !pause(ctx, lastRetry) {
			return
		}
	}
}

func (r *Reporter) once(ctx context.Context) error {
	dial, cancel := context.WithTimeout(ctx, dialTime)
	conn, err := r.c.Dial(dial, r.c.Address)
	cancel()
	if err != nil {
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	defer conn.Close()
	write := func(b []byte) error {
		conn.SetWriteDeadline(time.Now().Add(writeTime))
		_, err := conn.Write(b)
		return err
	}
	if err := write(frame(typeHello, func(b []byte) []byte { return appendHello(b, hello{low: protocolLow, high: protocolHigh}) })); err != nil {
		return err
	}
	go func() { // beats come, and a goodbye may
		in := reader{r: bufio.NewReaderSize(conn, 4<<10), from: down}
		for {
			conn.SetReadDeadline(time.Now().Add(readTime))
			t, body, err := in.next()
			if err == nil && t == typeGoodbye {
				if g, bad := parseGoodbye(body); bad == nil {
					err = g
				}
			}
			if err != nil {
				end(err)
				return
			}
		}
	}()
	for {
		if err := write(reportFrame(r.c.Own(), ack{})); err != nil {
			return err
		}
		if !pause(ctx, ReportEvery) {
			return context.Cause(ctx)
		}
	}
}

// reportFrame returns the frame of a report, or of an acknowledgement where there is none that can be sent: who says nothing at all is taken for dead.
func reportFrame(body []byte, a ack) []byte {
	if len(body) == 0 || len(body) > MaxReport {
		return frame(typeAck, func(b []byte) []byte { return appendAck(b, a) })
	}
	return frame(typeReport, func(b []byte) []byte { return append(b, body...) })
}
