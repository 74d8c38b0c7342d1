package node

import (
	crand "crypto/rand"
	"fmt"
	"math/rand/v2"
	"sync"
)

// reseedAfter bounds how much one seed gives: after 1 GiB of numbers a generator is seeded anew from the kernel.
const reseedAfter = 1 << 27

// newRandom returns a source of cryptographic random numbers for many goroutines: ChaCha8 generators, each seeded by the
// kernel, handed out by a pool so that no two cores share a lock.
func newRandom() func() uint64 {
	type source struct {
		g    *rand.ChaCha8
		left int
	}
	pool := sync.Pool{New: func() any { return &source{} }}
	return func() uint64 {
		s, ok := pool.Get().(*source)
		if !ok || s.left == 0 {
			var seed [32]byte
			if _, err := crand.Read(seed[:]); err != nil {
				panic(fmt.Sprintf("reading random numbers from the kernel: %v", err)) // nothing can be safe without
			}
			s = &source{rand.NewChaCha8(seed), reseedAfter}
		}
		s.left--
		v := s.g.Uint64()
		pool.Put(s)
		return v
	}
}
