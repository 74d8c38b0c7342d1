// Program goguest is a module as Go's own toolchain makes them: GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"sort"
	"strings"
	"time"
	"unsafe"
)

var buffer [4096]byte

//go:wasmexport ananas_buffer
func ananasBuffer(int32) unsafe.Pointer { return unsafe.Pointer(&buffer[0]) }

//go:wasmimport ananas ask
func ask(int32, int32) int32

// ananasQuery counts the labels of a name, with some of what Go programs do: maps, garbage, a goroutine, a sort, output.
//
//go:wasmexport ananas_query
func ananasQuery(n int32) int32 {
	labels := strings.Split(strings.ToLower(string(buffer[:n])), ".")
	seen := make(map[string]int)
	for _, l := range labels {
		seen[l]++
	}
	sort.Strings(labels)
	done := make(chan int)
	go func() { done <- len(seen) }()
	time.Sleep(time.Millisecond) // no time passes
	fmt.Fprintf(os.Stderr, "%s at %d, first %s\n", buffer[:n], time.Now().Unix(), labels[0])
	return ask(int32(<-done), int32(rand.Uint32()&0xff))
}

// ananasFiles tells whether there is anything but this module.
//
//go:wasmexport ananas_files
func ananasFiles() int32 {
	_, err := os.ReadFile("/etc/passwd")
	if err == nil || len(os.Args) > 1 || len(os.Environ()) > 0 {
		return 1
	}
	return 0
}

//go:wasmexport ananas_panic
func ananasPanic() { panic("on purpose") }

//go:wasmexport ananas_exit
func ananasExit() { os.Exit(3) }

//go:wasmexport ananas_recurse
func ananasRecurse(n int32) int32 {
	if n == 0 {
		return 0
	}
	return ananasRecurse(n-1) + 1
}

func main() {}
