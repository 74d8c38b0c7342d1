package listen

import "github.com/ananas-edge/ananas/telemetry"

// metrics are the package's instruments, resolved once.
type metrics struct {
	udp, tcp traffic

	dropUDPLong      *telemetry.Counter // longer than the receive buffer
	dropUDPShort     *telemetry.Counter
	dropUDPSource    *telemetry.Counter // port 0 cannot be answered
	dropUDPHandler   *telemetry.Counter // the handler chose to
	dropUDPPanic     *telemetry.Counter
	dropUDPSend      *telemetry.Counter // the kernel refused the answer
	dropTCPHandler   *telemetry.Counter
	dropTCPPanic     *telemetry.Counter
	dropTCPGone      *telemetry.Counter // connection closed before the answer
	dropTCPLong      *telemetry.Counter // more than 65,535 octets cannot be framed
	truncated        *telemetry.Counter
	batches          *telemetry.Counter
	joined           *telemetry.Counter // packets that the kernel put together with others
	cut              *telemetry.Counter // packets that the kernel made of a message
	gsoFallbacks     *telemetry.Counter
	receiveErrors    *telemetry.Counter
	acceptErrors     *telemetry.Counter
	panics           *telemetry.Counter
	replyMisused     *telemetry.Counter
	accepted         *telemetry.Counter
	limitInFlight    *telemetry.Counter
	limitConnections *telemetry.Counter
	limitPerClient   *telemetry.Counter
	limitPipeline    *telemetry.Counter
	limitQueue       *telemetry.Counter
	limitQueueAll    *telemetry.Counter
	limitMessage     *telemetry.Counter
	limitWrite       *telemetry.Counter
	closed           [reasons]*telemetry.Counter
}

// traffic is what goes in and out by one transport.
type traffic struct {
	received, receivedBytes, sent, sentBytes *telemetry.Counter
}

// reason is why a TCP connection was closed.
type reason uint8

const (
	byClient   reason = iota // it ended its side, and all that it had asked is answered
	byReset                  // reading or writing ended in an error
	byIdle                   // no query for the idle timeout
	byPressure               // the longest idle one, to make room for another
	byRefusal                // not even one idle one to make room
	byShort                  // a message of less than a header
	bySlowness               // a message, or the taking of answers, took too long
	byQueue                  // more answers queued than may be
	byShutdown
	reasons
)

var reasonNames = [reasons]string{"client", "reset", "idle", "pressure", "refused", "short", "slow", "queue", "shutdown"}

func newMetrics(m *telemetry.Metrics) *metrics {
	received := m.CounterVec("ananas_listen_received_total", "Messages received from clients.", "transport")
	receivedBytes := m.CounterVec("ananas_listen_received_bytes_total", "Octets of the messages received from clients, without framing.", "transport")
	sent := m.CounterVec("ananas_listen_sent_total", "Messages sent to clients.", "transport")
	sentBytes := m.CounterVec("ananas_listen_sent_bytes_total", "Octets of the messages sent to clients, without framing.", "transport")
	of := func(t Transport) traffic {
		s := t.String()
		return traffic{received.With(s), receivedBytes.With(s), sent.With(s), sentBytes.With(s)}
	}
	dropped := m.CounterVec("ananas_listen_dropped_total", "Queries and answers that were not served or sent, by cause.", "transport", "cause")
	limits := m.CounterVec("ananas_listen_limit_hits_total", "How often a limit was reached, by the limit's name.", "limit")
	closed := m.CounterVec("ananas_listen_tcp_closed_total", "TCP connections closed, by reason.", "reason")
	x := &metrics{
		udp: of(UDP), tcp: of(TCP),
		dropUDPLong:    dropped.With("udp", "long"),
		dropUDPShort:   dropped.With("udp", "short"),
		dropUDPSource:  dropped.With("udp", "source_port"),
		dropUDPHandler: dropped.With("udp", "handler"),
		dropUDPPanic:   dropped.With("udp", "panic"),
		dropUDPSend:    dropped.With("udp", "send"),
		dropTCPHandler: dropped.With("tcp", "handler"),
		dropTCPPanic:   dropped.With("tcp", "panic"),
		dropTCPGone:    dropped.With("tcp", "gone"),
		dropTCPLong:    dropped.With("tcp", "long"),
		truncated: m.Counter("ananas_listen_udp_truncated_total",
			"Answers that were longer than the interface could send unfragmented, sent as truncated instead (RFC 9715)."),
		batches: m.Counter("ananas_listen_udp_batches_total",
			"Batches that queries over UDP were served in; ananas_listen_received_total by this is how many there are in one."),
		joined: m.Counter("ananas_listen_udp_gro_received_total",
			"Packets that arrived together with others of their client, as one message (UDP_GRO, Linux)."),
		cut: m.Counter("ananas_listen_udp_gso_sent_total",
			"Answers that went out together with others to their client, as one message (UDP_SEGMENT, Linux)."),
		gsoFallbacks: m.Counter("ananas_listen_udp_gso_fallbacks_total",
			"Sockets that send answers one by one since the system has refused to take several as one message."),
		receiveErrors: m.Counter("ananas_listen_udp_receive_errors_total", "Errors of receiving from UDP sockets."),
		acceptErrors:  m.Counter("ananas_listen_tcp_accept_errors_total", "Errors of accepting TCP connections, such as no file descriptor left."),
		panics:        m.Counter("ananas_listen_panics_total", "Panics of the handler that it did not catch itself."),
		replyMisused: m.Counter("ananas_listen_reply_misused_total",
			"Answers to queries that were answered or dropped before: a mistake in the handler."),
		accepted:         m.Counter("ananas_listen_tcp_accepted_total", "TCP connections accepted."),
		limitInFlight:    limits.With("in_flight"),
		limitConnections: limits.With("tcp_connections"),
		limitPerClient:   limits.With("tcp_per_client"),
		limitPipeline:    limits.With("tcp_pipeline"),
		limitQueue:       limits.With("tcp_queue"),
		limitQueueAll:    limits.With("tcp_queue_all"),
		limitMessage:     limits.With("tcp_message_time"),
		limitWrite:       limits.With("tcp_write_time"),
	}
	for r, name := range reasonNames {
		x.closed[r] = closed.With(name)
	}
	return x
}

// loopMetrics are the counters that a loop counts on for each batch, as parts of those of all.
type loopMetrics struct {
	received, receivedBytes, sent, sentBytes, batches, joined, cut *telemetry.Counter
}

func (m *metrics) forLoop() loopMetrics {
	return loopMetrics{
		m.udp.received.Stripe(), m.udp.receivedBytes.Stripe(), m.udp.sent.Stripe(), m.udp.sentBytes.Stripe(),
		m.batches.Stripe(), m.joined.Stripe(), m.cut.Stripe(),
	}
}
