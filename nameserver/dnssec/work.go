package dnssec

import (
	"sync/atomic"

	"github.com/ananas-edge/ananas/telemetry"
)

// Work is the table that one answer is validated by, and what its validation has cost so far. All checks on the way to an answer, those of
// its aliases, keys and delegations included, share one Work, and may do so from several goroutines. When a limit of [Limits] is
// reached, the check at hand fails with [Result.Limit] set: that says nothing about the zone, and is not to be remembered as its fault.
type Work struct {
	table   *Table
	metrics *Metrics

	signatures, failed, digests, blocks, checks, hashes atomic.Int64
}

// Spent is what a [Work] has cost.
type Spent struct {
	Checks        int // signatures checked
	SignatureWork int // units of Limits.SignatureWork
	FailedWork    int // of these, for signatures that were wrong
	Digests       int // of keys, for DS records
	Hashes        int // names hashed for NSEC3
	NSEC3Work     int // blocks that they took
}

// Work begins an account. m may be nil.
func (t *Table) Work(m *Metrics) *Work { return &Work{table: t, metrics: m} }

// Spent returns what was spent until now.
func (w *Work) Spent() Spent {
	return Spent{
		Checks: int(w.checks.Load()), SignatureWork: int(w.signatures.Load()), FailedWork: int(w.failed.Load()),
		Digests: int(w.digests.Load()), Hashes: int(w.hashes.Load()), NSEC3Work: int(w.blocks.Load()),
	}
}

// Limit names a limit of [Limits].
type Limit uint8

// Limits that can be reached. The first four end the work for an answer; the others only leave something out.
const (
	NoLimit Limit = iota
	LimitSignatureWork
	LimitFailedWork
	LimitDigests
	LimitNSEC3Work
	LimitSignatures
	LimitCollisions
	LimitKeys
	LimitProofs
	LimitNSEC3Insecure
	LimitNSEC3Bogus
	limitEnd
)

var limitNames = [limitEnd]string{
	"none", "signature_work", "failed_signature_work", "ds_digests", "nsec3_work", "signatures", "key_tag_collisions", "keys", "proofs",
	"nsec3_iterations_insecure", "nsec3_iterations_bogus",
}

// String returns the key of the setting.
func (l Limit) String() string {
	if l < limitEnd {
		return limitNames[l]
	}
	return "unknown limit"
}

// reach counts that a limit was reached, and returns it.
func (w *Work) reach(l Limit) Limit {
	if w.metrics != nil {
		w.metrics.limits[l].Inc()
	}
	return l
}

// spend charges n to an account of which there is limit, and says whether that was left. What was refused is not charged: a smaller
// charge may still fit.
func spend(account *atomic.Int64, n, limit int) bool {
	if account.Add(int64(n)) <= int64(limit) {
		return true
	}
	account.Add(int64(-n))
	return false
}

// spendCheck charges for the check of one signature, or for what has to be done before it.
func (w *Work) spendCheck(units int) Limit {
	if w.failed.Load() >= int64(w.table.limits.FailedWork) {
		return w.reach(LimitFailedWork)
	}
	if !spend(&w.signatures, units, w.table.limits.SignatureWork) {
		return w.reach(LimitSignatureWork)
	}
	return NoLimit
}

// checked counts a check that was paid for.
func (w *Work) checked(a Algorithm, units int, good bool) {
	w.checks.Add(1)
	if !good {
		w.failed.Add(int64(units))
	}
	if w.metrics != nil {
		w.metrics.check(a, good)
	}
}

// spendDigest charges for the digest of one key.
func (w *Work) spendDigest() Limit {
	if !spend(&w.digests, 1, w.table.limits.Digests) {
		return w.reach(LimitDigests)
	}
	return NoLimit
}

// spendHash charges for the hash of one name.
func (w *Work) spendHash(blocks int) Limit {
	if !spend(&w.blocks, blocks, w.table.limits.NSEC3Work) {
		return w.reach(LimitNSEC3Work)
	}
	w.hashes.Add(1)
	if w.metrics != nil {
		w.metrics.blocks.Add(uint64(blocks))
	}
	return NoLimit
}

// Metrics counts what all validation costs.
type Metrics struct {
	good, bad [len(algorithms)]*telemetry.Counter // checks, by row of the table
	limits    [limitEnd]*telemetry.Counter
	blocks    *telemetry.Counter
}

// NewMetrics registers the series. t may be nil.
func NewMetrics(t *telemetry.Metrics) *Metrics {
	m := &Metrics{}
	checks := t.CounterVec("ananas_dnssec_checks_total", "Signatures checked, by algorithm and by what came out (good, bad).", "algorithm", "result")
	for i := range algorithms {
		if algorithms[i].use != unsupported {
			m.good[i] = checks.With(algorithms[i].name, "good")
			m.bad[i] = checks.With(algorithms[i].name, "bad")
		}
	}
	limits := t.CounterVec("ananas_dnssec_limits_total", "Limits of validation that were reached, by the setting's name.", "limit")
	for l := NoLimit + 1; l < limitEnd; l++ {
		m.limits[l] = limits.With(l.String())
	}
	m.blocks = t.Counter("ananas_dnssec_nsec3_blocks_total", "Blocks of 64 octets that were hashed for NSEC3 denials.")
	return m
}

func (m *Metrics) check(a Algorithm, good bool) {
	if good {
		m.good[a.index()].Inc()
	} else {
		m.bad[a.index()].Inc()
	}
}
