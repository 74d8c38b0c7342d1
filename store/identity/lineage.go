package identity

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// Statement is what the authority says when a lineage begins: a follower takes no other.
type Statement struct {
	Store    StoreID
	Lineage  store.Lineage
	Previous store.Lineage // that it was restored from; zero: the store was made
	Time     time.Time     // to the microsecond; later than that of the statement before, whatever the clock said
}

// SignLineage signs the statement that a lineage begins. previous is the last statement that is known: of the store, or in the snapshot that it is
// restored from; the zero Statement at the beginning.
func (a *Authority) SignLineage(previous Statement, l store.Lineage, now time.Time) (Statement, []byte, error) {
	s := Statement{Store: a.Store(), Lineage: l, Previous: previous.Lineage, Time: now.UTC().Truncate(time.Microsecond)}
	if !s.Time.After(previous.Time) {
		s.Time = previous.Time.Add(time.Microsecond)
	}
	f := a.Fingerprint()
	b := append(s.octets(), f[:]...)
	signature, err := sign(a.key, lineageWords, b)
	if err != nil {
		return Statement{}, nil, fmt.Errorf("signing the lineage %v: %w", l, err)
	}
	return s, append(append([]byte{statementFormat}, b...), signature...), nil
}

// The form of a signed statement: format (1 octet, 1), store (16), lineage (16), previous lineage (16), time (8, little endian, microseconds since 1970), fingerprint
// of the authority (32), signature.
const (
	statementFormat = 1
	statementOctets = 16 + 16 + 16 + 8
	statementHead   = 1 + statementOctets + 32

	// MaxStatement is the length of a signed statement in octets: an ECDSA signature on P-256 in DER has up to 72.
	MaxStatement = statementHead + 72
)

func (s Statement) octets() []byte {
	b := make([]byte, 0, MaxStatement)
	b = append(b, s.Store[:]...)
	b = append(b, s.Lineage[:]...)
	b = append(b, s.Previous[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(s.Time.UnixMicro()))
}

// VerifyLineage reads a signed statement, and checks that an authority of the store made it.
func (b Bundle) VerifyLineage(signed []byte) (Statement, error) {
	s, err := b.verifyLineage(signed)
	if err != nil {
		return Statement{}, fmt.Errorf("reading the statement that a lineage has begun: %w", err)
	}
	return s, nil
}

func (b Bundle) verifyLineage(signed []byte) (s Statement, err error) {
	switch {
	case len(signed) <= statementHead || len(signed) > MaxStatement:
		return s, fmt.Errorf("it has %d octets", len(signed))
	case signed[0] != statementFormat:
		return s, fmt.Errorf("its format is %d; this release reads %d", signed[0], statementFormat)
	}
	body, signature := signed[1:statementHead], signed[statementHead:]
	n := copy(s.Store[:], body)
	n += copy(s.Lineage[:], body[n:])
	n += copy(s.Previous[:], body[n:])
	s.Time = time.UnixMicro(int64(binary.LittleEndian.Uint64(body[n:]))).UTC()
	authority := b.Find(Fingerprint(body[n+8:]))
	switch {
	case authority == nil:
		return s, errors.New("no authority of this store has signed it")
	case !verify(authority.PublicKey, lineageWords, body, signature):
		return s, errors.New("its signature is wrong")
	case s.Store != b.store:
		return s, errors.New("it is of another store")
	}
	return s, nil
}

// Follows tells whether a copy whose lineage began with held may change to s: it is the later one. An old statement, which stays well signed for
// ever, leads nobody back. The zero Statement is that of a copy that has no lineage.
func (s Statement) Follows(held Statement) bool {
	return s.Lineage != held.Lineage && s.Time.After(held.Time)
}
