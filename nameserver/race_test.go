//go:build race

package nameserver

// underRace tells whether the race detector looks on, which allocates for its own ends.
const underRace = true
