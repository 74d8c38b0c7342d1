// Package chaos holds the store to its promises while everything around it fails: seeded runs of the following protocol in one process, on fake time, with a model of the
// root and real copies. `make chaos-store` does 1,000 of them; `go test ./test/chaos -run Model -runs 1 -seed S` repeats one.
//
// A run is a root of two members, two tiers of relays and some leaves. Writers commit; one random choice after the other kills nodes, cuts, holds and delays links, fills
// disks, spoils files while they are closed, sets clocks, trims logs, deposes who leads and has the root fail before, after and without a word. Then all faults end, and
// check_test.go looks at everything that was ever seen.
//
// The faults follow from the seed. In which order goroutines that are ready run does not, so a failure may take some runs of its seed to come again.
package chaos
