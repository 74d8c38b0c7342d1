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
	// MaxBodyBytes of a request, but for one that applies files. The largest body is a reason of 1 KiB and a name of 1 KiB, each in escaped form.
	MaxBodyBytes = 64 << 10
	// MaxApplyBytes of a request that applies files: MaxApplyText as JSON escapes it, and named files of some 8 MiB in base64 (4/3).
	MaxApplyBytes = 16 << 20
	// MaxBlobBytes of a file that is put there before it is applied: the largest that settings may name.
	MaxBlobBytes = 256 << 20
	// MaxUploads of such files at one time. Each is on its way for as long as its line takes, and in memory with some hundred KiB.
	MaxUploads = 4
	// MaxDownloads of files that settings name at one time. Each is on its way for as long as its line takes, with 256 KiB of memory.
	MaxDownloads = 4
	// MaxApplyText is the size of the text of all files of settings together: what a commit of the store may have.
	MaxApplyText = 4 << 20
	// MaxApplyFiles of one request: a file for each section, several times over.
	MaxApplyFiles = 64
	// MaxApplyRemove is how many keys one request may remove beside what its files say: a module is one, and the list of plugins another.
	MaxApplyRemove = 64
	// MaxApplies at one time, rollbacks included. Each holds its body three times, as JSON, as text and as documents: 200 MiB in all.
	MaxApplies = 4
	// MaxHeaderBytes of a request; net/http adds 4 KiB.
	MaxHeaderBytes = 16 << 10
	// DefaultCacheLimit and MaxCacheLimit bound the entries of one list: 10,000 of 300 bytes are 3 MB.
	DefaultCacheLimit = 100
	MaxCacheLimit     = 10_000
	// DefaultSampleLimit and MaxSampleLimit bound the samples of one list: a node keeps no more than 2,000, of some 250 bytes each: 500 KB.
	DefaultSampleLimit = 100
	MaxSampleLimit     = 2000
	// DefaultSettingsLimit and MaxSettingsLimit bound the entries of one list of settings; MaxSettingsBytes bounds what they, the commits of a list, or the
	// changes of a difference have of keys and documents. Whoever wants all asks for the next page.
	DefaultSettingsLimit = 1000
	MaxSettingsLimit     = 10_000
	MaxSettingsBytes     = 8 << 20
	// DefaultHistoryLimit and MaxHistoryLimit bound the commits of one list.
	DefaultHistoryLimit = 20
	MaxHistoryLimit     = 1000
	// MaxWatches at one time. Each is one of MaxRequests for as long as somebody looks on.
	MaxWatches = 16
	// MaxSnapshots at one time. Each reads the whole store from the disk.
	MaxSnapshots = 2
	// MaxTrialTime is for how long a new version of a module may run in the shadow of what a node answers, and MaxTrialOneIn of how many queries it may be shown one.
	MaxTrialTime  = time.Hour
	MaxTrialOneIn = 1_000_000
	// MaxTrials at one time. Each has a module compiled, and a fourth of a core then.
	MaxTrials = 4
	// MaxTrialModule is the size of a new version that is sent, in octets: in base64 14.7 MiB, beside which MaxApplyBytes has room for its settings.
	MaxTrialModule = 11 << 20
	// MaxTrialBatch is how many octets of JSON a part of the queries has that are sent for a trial: eleven of the largest there can be, and thousands of common ones.
	MaxTrialBatch = 2 << 20
	// MaxAuthor, MaxReason and MaxKey bound texts of requests, in octets, as the store does.
	MaxAuthor = 256
	MaxReason = 1024
	MaxKey    = 512
	// MaxLabels of a token.
	MaxLabels = 16

	// WatchBeat is how often a stream of commits has a line, whether something was committed or not. Who has had none for three beats and a bit has lost the node.
	WatchBeat = 5 * time.Second

	// readTimeout is for the head of a request, and again for its body: 64 KiB at 10 KiB/s.
	readTimeout = 10 * time.Second
	// requestTimeout bounds the work on a request, reading a large settings file included.
	requestTimeout = 20 * time.Second
	// applyTimeout is for an apply or a rollback: 16 MiB at 1 MiB/s, blobs that go to a majority of the root, and a commit whose outcome is looked up.
	applyTimeout = 60 * time.Second
	// uploadTimeout is for a file that is put there: the largest at 150 KiB/s. That it comes at all is seen every readTimeout.
	uploadTimeout = 30 * time.Minute
	// downloadTimeout is for a file that is fetched: the largest at 150 KiB/s. That it is taken at all is seen every writeTimeout.
	downloadTimeout = 30 * time.Minute
	// explainTimeout bounds an explain: a resolution gives up long before.
	explainTimeout = 60 * time.Second
	// writeTimeout is for the answer, from the end of the request's header; for an explain, from each event.
	writeTimeout = 30 * time.Second
	// idleTimeout closes a connection on which nothing is asked; a scraper comes every 15 to 60 s.
	idleTimeout = 90 * time.Second
)
