//go:build unix && !linux

package wasm

// populate does nothing here: pages come when they are used.
func populate([]byte) {}
