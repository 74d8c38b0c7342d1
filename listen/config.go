package listen

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"github.com/ananas-edge/ananas/telemetry"
)

// Config is what [Open] needs. Only DNS must be set. It cannot change while the server runs.
type Config struct {
	// DNS are the addresses to serve, each over UDP and TCP. Port 0 takes a free one, the same for both. The address [::]
	// takes IPv4 too, unless IPv4 addresses with the same port are listed beside it.
	DNS []netip.AddrPort

	// Limits bound what clients can use up. A field that is 0 has the value of [DefaultLimits].
	Limits Limits

	// Loops is how many UDP sockets, each with its loop, share an address (SO_REUSEPORT, Linux): the kernel spreads the clients over them. 0 is one for each
	// processor that Go uses (GOMAXPROCS). An inherited socket has one loop, and so has every socket of other systems.
	Loops int

	// Spin is how long a loop looks into its empty socket before it sleeps (Linux). It takes the time to wake up, some 30 us, off a query that comes within
	// that time, and costs up to a whole processor for each loop while queries keep coming more often than that. 0 is not to. At least one processor is left
	// to others, so with one it does nothing.
	Spin time.Duration

	// Inherited are sockets that another process bound for this one, as [ActivatedFiles] finds them. One that is bound to an
	// address of DNS is used instead of a new one; another is closed, with a warning. Open closes all of these files.
	Inherited []*os.File

	Log     *slog.Logger       // nil: silent
	Metrics *telemetry.Metrics // nil: not exported
	Crashes *telemetry.Crashes // where a panic of the handler is reported; nil: log only
}

// Limits bound what clients can use up. Each has a series of ananas_listen_limit_hits_total or says what counts instead.
type Limits struct {
	// InFlight is how many queries, over all transports, may wait for a late answer. 65,536 tickets of 112 bytes are 7 MiB;
	// at 10,000 misses a second that all take 5 s there are 50,000. The handler is expected to have a lower limit of its own.
	// Beyond it, only answers given at once are sent. Metric: in_flight.
	InFlight int

	// ReceiveBuffer is what is asked of the kernel for each UDP socket, in bytes. A packet of 60 octets counts 768 in it, so
	// 4 MiB hold 5,400: a stop of 27 ms at 200,000 a second. What overflows is in ananas_listen_udp_overflow_packets.
	ReceiveBuffer int

	// Connections is how many TCP connections may be open. One takes about 20 KiB (a read buffer of 4, a stack of 8, the
	// kernel's part): 20 MiB at 1,024. When full, the longest idle one is closed for a new one. Metric: tcp_connections.
	Connections int

	// PerClient is how many of them one client may have: one IPv4 address or one IPv6 /64, which is what a single network
	// gets. An eighth of Connections, so that it takes more than seven clients to shut out the others; forwarders open some
	// ten. When full, the longest idle one of that client is closed for a new one. Metric: tcp_per_client.
	PerClient int

	// Pipeline is how many queries of one connection may be with the handler. Beyond it nothing is read, so TCP slows the
	// client down. 100 is what Knot Resolver allows. Metric: tcp_pipeline.
	Pipeline int

	// Queue is how many octets of answers may wait for one client to take them. From a sixteenth of it on nothing more is
	// read; a client over it is closed. 1 MiB is 16 answers of the largest size, or all of Pipeline at 10 KiB.
	// Metric: tcp_queue.
	Queue int

	// QueueAll is the same over all connections. 64 MiB is 64 KiB for each of 1,024. Metric: tcp_queue_all.
	QueueAll int

	// Idle is how long a connection may be open without a query (RFC 7766 section 6.2.3 wants "on the order of a few
	// seconds"). It shrinks in proportion from the moment that half of Connections are open, to 1 s. Counted as closed for idle.
	Idle time.Duration

	// MessageTime is how long a message may take from its first octet to its last. 5 s is two retransmissions over the worst
	// path. Metric: tcp_message_time.
	MessageTime time.Duration

	// WriteTime is how long the client may take to accept what was written at once. 10 s is 1 MiB at 1 Mbit/s.
	// Metric: tcp_write_time.
	WriteTime time.Duration
}

// DefaultLimits returns the limits of a node for which nothing else is set. The arithmetic is with the fields.
func DefaultLimits() Limits {
	return Limits{
		InFlight:      65_536,
		ReceiveBuffer: 4 << 20,
		Connections:   1024,
		PerClient:     128,
		Pipeline:      100,
		Queue:         1 << 20,
		QueueAll:      64 << 20,
		Idle:          10 * time.Second,
		MessageTime:   5 * time.Second,
		WriteTime:     10 * time.Second,
	}
}

// loopsMost bounds [Config.Loops]: twice the processors of a large machine. 1,024 have 5 GB of addresses, of which half a GB is memory at most while
// messages are shorter than a page.
const loopsMost = 1024

// spinMost bounds [Config.Spin]: others may have to wait for as long.
const spinMost = time.Millisecond

// leastIdle is what [Limits.Idle] shrinks to when connections run short: several round trips to anywhere.
const leastIdle = time.Second

// filled returns the limits with defaults for what is 0.
func (l Limits) filled() (Limits, error) {
	d := DefaultLimits()
	for _, f := range []struct {
		name      string
		value     *int
		otherwise int
		atLeast   int
	}{
		{"InFlight", &l.InFlight, d.InFlight, 1},
		{"ReceiveBuffer", &l.ReceiveBuffer, d.ReceiveBuffer, 1},
		{"Connections", &l.Connections, d.Connections, 1},
		{"PerClient", &l.PerClient, d.PerClient, 1},
		{"Pipeline", &l.Pipeline, d.Pipeline, 1},
		{"Queue", &l.Queue, d.Queue, maxFrame}, // one answer must fit
		{"QueueAll", &l.QueueAll, d.QueueAll, maxFrame},
	} {
		if *f.value == 0 {
			*f.value = f.otherwise
		}
		if *f.value < f.atLeast {
			return l, fmt.Errorf("limit %s is %d, it must be at least %d", f.name, *f.value, f.atLeast)
		}
	}
	for _, f := range []struct {
		name      string
		value     *time.Duration
		otherwise time.Duration
	}{
		{"Idle", &l.Idle, d.Idle},
		{"MessageTime", &l.MessageTime, d.MessageTime},
		{"WriteTime", &l.WriteTime, d.WriteTime},
	} {
		if *f.value == 0 {
			*f.value = f.otherwise
		}
		if *f.value < 0 {
			return l, fmt.Errorf("limit %s is %v, it must be more than 0", f.name, *f.value)
		}
	}
	return l, nil
}
