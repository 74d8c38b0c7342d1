package admin

import "time"

// Limits of the admin address. It serves a few operators, a scraper and a console: all are far above what these need, and
// low enough that a stranger who reaches the address costs the node little. Reaching one counts in
// ananas_admin_limit_reached_total.
const (
	// MaxConnections at one time. A connection with its goroutine and buffers is some 20 KiB: 5 MiB.
	MaxConnections = 256
	// MaxRequests in work at one time, explains included: each may hold a body or a list of some hundred KiB.
	MaxRequests = 64
	// MaxExplains at one time. Each is a resolution with a budget of its own that no cache dampens if it is fresh.
	MaxExplains = 16
	// MaxExplainEvents of one explain: a hundred upstream questions with a dozen steps each are 1,200; further ones are counted
	// in the last line.
	MaxExplainEvents = 10_000
	// MaxExplainDepth is the largest depth that may be asked for; a tree of CNAMEs, delegations and glue is some 20 deep.
	MaxExplainDepth = 100
	// MaxBodyBytes of a request. The only body today is a name, 1 KiB in escaped form.
	MaxBodyBytes = 64 << 10
	// MaxHeaderBytes of a request; net/http adds 4 KiB.
	MaxHeaderBytes = 16 << 10
	// DefaultCacheLimit and MaxCacheLimit bound the entries of one list: 10,000 of 300 bytes are 3 MB.
	DefaultCacheLimit = 100
	MaxCacheLimit     = 10_000
	// DefaultSampleLimit and MaxSampleLimit bound the samples of one list: a node keeps no more than 2,000, of some 250 bytes each: 500 KB.
	DefaultSampleLimit = 100
	MaxSampleLimit     = 2000

	// readTimeout is for the head of a request, and again for its body: 64 KiB at 10 KiB/s.
	readTimeout = 10 * time.Second
	// requestTimeout bounds the work on a request, reading a large settings file included.
	requestTimeout = 20 * time.Second
	// explainTimeout bounds an explain: a resolution gives up long before.
	explainTimeout = 60 * time.Second
	// writeTimeout is for the answer, from the end of the request's header; for an explain, from each event.
	writeTimeout = 30 * time.Second
	// idleTimeout closes a connection on which nothing is asked; a scraper comes every 15 to 60 s.
	idleTimeout = 90 * time.Second
)
