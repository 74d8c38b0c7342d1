//go:build (darwin || freebsd || netbsd || openbsd || dragonfly) && !heaparena

package cache

// adviseHugePages does nothing: these systems choose the size of pages by themselves.
func adviseHugePages([]byte) {}
