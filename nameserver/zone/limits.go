package zone

import "time"

// Limits of a zone. The root zone of 2026 has some 25,000 records, 1.4 MiB on the wire and 2.2 MiB as a file.
const (
	// maxRecords is how many records a zone may have: ten times the root's. It bounds the messages of a transfer, too, each of which has one at least.
	maxRecords = 250_000

	// maxOctets is how long a zone may be, as a file or as the messages of a transfer: ten times the root's file.
	maxOctets = 24 << 20
)

// Limits of the time that a server may take.
const (
	// connectTime is for a TCP connection: a round trip, and two more SYN packets after 1 and 2 s.
	connectTime = 5 * time.Second

	// idleTime is how long the next message of a server may take to come: 64 KiB in it are 6.4 KiB a second.
	idleTime = 10 * time.Second

	// roundTime is for all servers in turn, until the retry of the SOA record is waited for.
	roundTime = 10 * time.Minute

	// transferTime is for one server in all: 24 MiB in it are 200 KiB a second, and the root's 1.4 MiB 12 KiB a second.
	transferTime = 2 * time.Minute
)

// Bounds of the timers of an SOA record (RFC 1035 section 3.3.13). The root's are 30 minutes, 15 minutes and 7 days. They are for zones whose
// owner has made a mistake: a refresh of 0 s would ask without a pause, an expiry of 0 s would never let the copy be used, and one of a hundred
// years would not notice that it is never refreshed.
const (
	minRefresh = 5 * time.Minute
	maxRefresh = 24 * time.Hour
	minRetry   = time.Minute
	maxRetry   = time.Hour
	minExpire  = time.Hour
	maxExpire  = 28 * 24 * time.Hour

	// jitterPart is the part of a refresh by which it may come earlier, so that a fleet that was started at once does not ask at once.
	jitterPart = 10
)

const (
	// longestSleep is how long the loop sleeps at most. Timers of the system stand still while a machine is suspended, boot time does not;
	// what is due then is done within this time.
	longestSleep = time.Minute

	// confirmEvery is how often it is written down that the copy on disk is still good, if nothing else changes. After a restart
	// the copy counts as older than it is by up to this, an eighth of a day of the root's seven.
	confirmEvery = 3 * time.Hour

	// signatureMargin is how long before the end of its signatures a copy is transferred anew although its serial is the same.
	signatureMargin = 24 * time.Hour
)
