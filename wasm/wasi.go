package wasm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tetratelabs/wazero/api"
)

// WASI is the module that the runtimes of Go, and of C and Rust for wasip1, import.
const WASI = "wasi_snapshot_preview1"

// Error numbers of WASI (preview 1, errno).
const (
	errnoSuccess = 0
	errnoBadf    = 8  // no such file is open
	errnoFault   = 21 // an address is not in memory
	errnoNosys   = 52 // there is no such function here
)

// ErrExit is the cause of a guest's end that it wanted itself.
var ErrExit = errors.New("the module ended itself")

// WASIFunctions returns what those runtimes need to start, and no world behind it: the clock stands at the query's time, random numbers follow from the call's seed, there are no arguments, no variables and no files.
// What a guest writes to its standard output and error goes to log, as far as the module's limit allows; log must not keep it. A guest that sleeps wakes at once, and
// sees a later time until the call ends; one that exits faults.
func WASIFunctions(log func(c *Call, text []byte)) []Function {
	deaf := func(errno uint64) func(*Call, []uint64) {
		return func(_ *Call, stack []uint64) { stack[0] = errno }
	}
	free := func(name, params string, call func(c *Call, stack []uint64)) Function {
		f := Function{Module: WASI, Name: name, Free: true, Results: []api.ValueType{I32}, Call: call}
		for _, p := range params {
			f.Params = append(f.Params, map[rune]api.ValueType{'i': I32, 'l': I64}[p])
		}
		return f
	}
	exit := free("proc_exit", "i", func(c *Call, stack []uint64) {
		c.Trap(fmt.Errorf("%w with code %d", ErrExit, uint32(stack[0])))
	})
	exit.Results = nil
	all := []Function{
		exit,
		free("args_get", "ii", deaf(errnoSuccess)),
		free("args_sizes_get", "ii", twoZeros),
		free("environ_get", "ii", deaf(errnoSuccess)),
		free("environ_sizes_get", "ii", twoZeros),
		free("clock_res_get", "ii", func(c *Call, stack []uint64) { stack[0] = putTime(c, uint32(stack[1]), 1) }),
		free("clock_time_get", "ili", func(c *Call, stack []uint64) { stack[0] = putTime(c, uint32(stack[2]), uint64(max(c.Now, 1)+c.slept)) }),
		free("random_get", "ii", randomGet),
		free("sched_yield", "", deaf(errnoSuccess)),
		free("poll_oneoff", "iiii", pollOneoff),
		free("fd_write", "iiii", func(c *Call, stack []uint64) { fdWrite(c, stack, log) }),
		free("proc_raise", "i", deaf(errnoNosys)),
	}
	for name, params := range map[string]string{
		"fd_advise": "illi", "fd_allocate": "ill", "fd_close": "i", "fd_datasync": "i", "fd_fdstat_get": "ii", "fd_fdstat_set_flags": "ii", "fd_fdstat_set_rights": "ill",
		"fd_filestat_get": "ii", "fd_filestat_set_size": "il", "fd_filestat_set_times": "illi", "fd_pread": "iiili", "fd_prestat_get": "ii", "fd_prestat_dir_name": "iii",
		"fd_pwrite": "iiili", "fd_read": "iiii", "fd_readdir": "iiili", "fd_renumber": "ii", "fd_seek": "ilii", "fd_sync": "i", "fd_tell": "ii",
	} {
		all = append(all, free(name, params, deaf(errnoBadf)))
	}
	for name, params := range map[string]string{
		"path_create_directory": "iii", "path_filestat_get": "iiiii", "path_filestat_set_times": "iiiilli", "path_link": "iiiiiii", "path_open": "iiiiillii", "path_readlink": "iiiiii",
		"path_remove_directory": "iii", "path_rename": "iiiiii", "path_symlink": "iiiii", "path_unlink_file": "iii", "sock_accept": "iii", "sock_recv": "iiiiii", "sock_send": "iiiii", "sock_shutdown": "ii",
	} {
		all = append(all, free(name, params, deaf(errnoNosys)))
	}
	return all
}

// word is a parameter of 32 bits: what is above them means nothing.
func word(v uint64) uint64 { return uint64(uint32(v)) }

// twoZeros says that there are none of something, and that they have no octets.
func twoZeros(c *Call, stack []uint64) {
	if !c.Memory().WriteUint32Le(uint32(stack[0]), 0) || !c.Memory().WriteUint32Le(uint32(stack[1]), 0) {
		stack[0] = errnoFault
		return
	}
	stack[0] = errnoSuccess
}

func putTime(c *Call, at uint32, v uint64) uint64 {
	if !c.Memory().WriteUint64Le(at, v) {
		return errnoFault
	}
	return errnoSuccess
}

func randomGet(c *Call, stack []uint64) {
	b, ok := c.View(word(stack[0]), word(stack[1]))
	if !ok {
		stack[0] = errnoFault
		return
	}
	c.Charge(int64(len(b)))
	c.Random(b)
	stack[0] = errnoSuccess
}

// pollOneoff says of the first thing that a guest waits for that it has happened. A subscription is 48 octets: what the guest calls it (8), the kind (1), and at 24 for how long and at 40 whether
// until then; an event is 32: what the guest called it (8), an error number (2), the kind (1).
func pollOneoff(c *Call, stack []uint64) {
	in, ok := c.View(word(stack[0]), 48)
	out, ok2 := c.View(word(stack[1]), 32)
	if !ok || !ok2 || uint32(stack[2]) == 0 || !c.Memory().WriteUint32Le(uint32(stack[3]), 1) {
		stack[0] = errnoFault
		return
	}
	called, kind := binary.LittleEndian.Uint64(in), in[8]
	if kind == 0 { // a clock
		slept := int64(min(binary.LittleEndian.Uint64(in[24:]), mostSleep))
		if in[40]&1 != 0 {
			slept -= c.Now + c.slept
		}
		c.slept = min(c.slept+max(slept, 0), mostSleep)
	}
	clear(out)
	binary.LittleEndian.PutUint64(out, called)
	out[10] = kind
	stack[0] = errnoSuccess
}

// mostSleep is how far a guest can move its clock: 292 years fit into 64 bits of nanoseconds, and the query's time is some 60 of them.
const mostSleep = 1 << 61

// fdWrite logs what goes to the standard output and error. All is said to have been written, so that a guest does not try again.
func fdWrite(c *Call, stack []uint64, log func(*Call, []byte)) {
	fd, vectors, count, written := word(stack[0]), word(stack[1]), word(stack[2]), uint32(stack[3])
	if fd != 1 && fd != 2 {
		stack[0] = errnoBadf
		return
	}
	list, ok := c.View(vectors, 8*count)
	if !ok {
		stack[0] = errnoFault
		return
	}
	c.Charge(int64(len(list)))
	total := uint32(0)
	for ; len(list) > 0; list = list[8:] {
		at, n := binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:])
		text, ok := c.View(uint64(at), uint64(n))
		if !ok {
			stack[0] = errnoFault
			return
		}
		total += n
		if keep := c.Log(len(text)); keep > 0 {
			log(c, text[:keep])
		}
	}
	if !c.Memory().WriteUint32Le(written, total) {
		stack[0] = errnoFault
		return
	}
	stack[0] = errnoSuccess
}
