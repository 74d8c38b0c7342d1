package listen

import "net/netip"

// Query is one packet of a batch.
type Query struct {
	Data   []byte         // as in [Packet]: the message, may be changed in place, valid until ServeBatch returns
	Client netip.AddrPort // as in [Packet]
	Local  netip.AddrPort // as in [Packet]
	Out    []byte         // room for the answer: length 0, capacity at least 4096+64; the answer is a prefix of it that the handler wrote, or another slice
	Answer []byte         // set by the handler: what is to be sent; nil: not answered in the loop
	Note   any            // set by the handler's loop: what it has learned of a query that it does not answer, for Handler.Serve
}

// BatchHandler is a [Handler] that can answer what it has at hand for a whole batch at once.
type BatchHandler interface {
	Handler
	// Loop returns what one socket's loop calls. It is called once for each loop, before the first packet.
	Loop() Loop
}

// Loop is the part of a handler that belongs to one loop: never called by two goroutines at once.
type Loop interface {
	// ServeBatch sets Answer of those queries that it can answer without waiting. The others go to Handler.Serve, one by one.
	ServeBatch(queries []Query)
}
