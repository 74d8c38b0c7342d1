//go:build wasip1

package ananas

import (
	"encoding/binary"
	"errors"
	"unsafe"
)

// What a call works on. A guest has one thread, and is called again when the call before has ended.
var (
	memory  [room]byte
	asked   Query
	shown   Answer
	line    Line
	verdict Verdict
)

//go:wasmexport ananas_buffer
func giveBuffer(size int32) int32 {
	if size > room {
		return 0
	}
	return int32(uintptr(unsafe.Pointer(&memory)))
}

//go:wasmexport ananas_start
func start() int32 {
	if onStart == nil {
		return 0
	}
	if err := onStart(); err != nil {
		println(err.Error())
		var coded interface{ Code() int32 }
		if errors.As(err, &coded) && coded.Code() != 0 {
			return coded.Code()
		}
		return 1
	}
	return 0
}

//go:wasmexport ananas_query
func query(int32) int32 {
	if onQuery == nil {
		return -1
	}
	asked.read(memory[:])
	verdict.begin()
	onQuery(&asked, &verdict)
	return verdict.end(memory[:])
}

//go:wasmexport ananas_answer
func answer(int32) int32 {
	if onAnswer == nil {
		return -1
	}
	shown.read(memory[:])
	verdict.begin()
	onAnswer(&shown, &verdict)
	return verdict.end(memory[:])
}

//go:wasmexport ananas_log
func log(length int32) int32 {
	if onLine == nil {
		return -1
	}
	for b := memory[4:length]; len(b) >= 4; {
		end := 4 + int(binary.LittleEndian.Uint32(b))
		line.read(b[4:end])
		onLine(&line)
		b = b[end:]
	}
	return 0
}
