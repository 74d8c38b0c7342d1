//go:build !linux

package recurse

// pathMTUOff has nothing to switch off here.
func pathMTUOff(int, bool) {}
