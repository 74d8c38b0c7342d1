package weave

import "fmt"

// Fuel for what does not have a cost of its own.
const (
	costEntry     = 12 // call, frame, return
	costLoop      = 2  // the check itself
	octetsOfFrame = 8  // of stack for a unit: it has to be found and copied as it grows
	octetsShift   = 3  // of memory: 8 octets are copied or filled for a unit
	growShift     = 15
	entryShift    = 0 // of a table: one for a unit
)

// Fuel for memory that is added: it is cleared, and the system has to find it. growShift makes it 32,768 for a page of 64 KiB: 3 to 8 us where the system has pages at hand, 38 on a virtual machine whose host has to find them. With Refuel, where there is enough for it, twice as much.

// code returns the section of code.
func (w *weaver) code() ([]byte, error) {
	if w.sections[secCode] == nil {
		return nil, nil
	}
	out := put(nil, uint64(len(w.bodies)))
	for i, b := range w.bodies {
		index := w.imported[Func] + i
		if err := within(fmt.Sprintf("function %d: octets of code", index), uint64(len(b)), uint64(w.Limits.BodyOctets)); err != nil {
			return nil, err
		}
		woven, err := w.body(b, w.Module.types[w.functions[i]])
		if err != nil {
			return nil, fmt.Errorf("function %d: %w", index, err)
		}
		out = append(put(out, uint64(len(woven))), woven...)
	}
	return out, nil
}

// body weaves one function: locals and code.
func (w *weaver) body(b []byte, t Type) ([]byte, error) {
	r := &reader{b: b}
	groups := r.count()
	list := r.at
	locals := uint64(len(t.Params))
	for range groups {
		locals += uint64(r.u32())
		readValueType(r)
	}
	if r.err != nil {
		return nil, fmt.Errorf("reading its locals: %w", r.err)
	}
	if err := within("locals", locals, uint64(w.Limits.Locals)); err != nil {
		return nil, err
	}
	declared, code := b[list:r.at], b[r.at:]
	s, err := w.scanCode(code, t)
	if err != nil {
		return nil, err
	}
	e := &emitter{scan: s, scratch: locals, frame: s.frame(locals)}
	if s.lengths {
		groups++
	}
	e.out = append(put(make([]byte, 0, 2*len(b)), uint64(groups)), declared...)
	if s.lengths {
		e.out = append(put(e.out, 1), 0x7f)
	}
	e.code(code)
	return e.out, nil
}

// emitter writes one function's code.
type emitter struct {
	*scan
	out     []byte
	scratch uint64 // index of a local of our own
	frame   uint64
}

func (e *emitter) code(code []byte) {
	if e.Refuel {
		e.takeStack()
	}
	done := 0
	for _, d := range e.edits {
		e.out = append(e.out, code[done:d.at]...)
		done = d.at + d.skip
		switch d.what {
		case charge:
			if s := e.segments[d.arg]; !s.folded && s.cost > 0 {
				e.subtract(s.cost)
			}
		case chargeCheck:
			fixed := uint64(costLoop)
			if d.arg == 0 {
				fixed = costEntry + e.frame/octetsOfFrame
			}
			e.subtract(e.segments[d.arg].cost + fixed)
			e.stopBelowZero(e.fuel)
		case chargeLength:
			e.length(byte(d.arg))
		case chargeGrowth:
			e.growth(uint32(d.arg), d.arg&growsMemory != 0)
		case leave:
			e.out = put(append(e.out, opBr), d.arg)
		}
	}
	e.out = append(e.out, code[done:]...)
	if e.Refuel {
		e.giveStack()
	}
}

// op writes an instruction and the index that follows it.
func (e *emitter) op(op byte, index uint64) { e.out = put(append(e.out, op), index) }

func (e *emitter) constant(v uint64) { e.out = putSigned(append(e.out, i64Const), v) }

// subtract writes: fuel -= v.
func (e *emitter) subtract(v uint64) {
	e.op(globalGet, uint64(e.fuel))
	e.constant(v)
	e.out = append(e.out, i64Sub)
	e.op(globalSet, uint64(e.fuel))
}

// stopBelowZero writes: if the global is below zero, trap, or ask for fuel.
func (e *emitter) stopBelowZero(global uint32) {
	e.op(globalGet, uint64(global))
	e.out = append(e.out, i64Const, 0, i64LtS, opIf, 0x40)
	if e.Refuel && global == e.fuel {
		e.out = append(e.out, 0x41, 0) // i32.const 0
		e.op(opCallIndirect, uint64(e.refuelType))
		e.out = put(e.out, uint64(e.refuelTable))
	} else {
		e.out = append(e.out, opUnreachable)
	}
	e.out = append(e.out, opEnd)
}

// chargeShifted writes: fuel -= what the scratch keeps, shifted; and the check.
func (e *emitter) chargeShifted(left bool, shift uint64) {
	e.op(globalGet, uint64(e.fuel))
	e.op(localGet, e.scratch)
	e.out = append(e.out, i64ExtendU)
	e.constant(shift)
	if left {
		e.out = append(e.out, i64Shl)
	} else {
		e.out = append(e.out, i64ShrU)
	}
	e.out = append(e.out, i64Sub)
	e.op(globalSet, uint64(e.fuel))
	e.stopBelowZero(e.fuel)
}

// length writes the charge of an operation on memory or a table.
func (e *emitter) length(sub byte) {
	e.op(localTee, e.scratch)
	switch sub {
	case memoryInit, memoryCopy, memoryFill:
		e.chargeShifted(false, octetsShift)
	default:
		e.chargeShifted(false, entryShift)
	}
}

// growth writes the charge of a growth. One by more than most fails, and costs nothing: who asks for much to see what there is should hear no, not trap.
func (e *emitter) growth(most uint32, memory bool) {
	e.op(localTee, e.scratch)
	e.op(localGet, e.scratch)
	e.out = putSigned32(append(e.out, i32Const), most)
	e.out = append(e.out, i32LeU, opIf, 0x40)
	switch {
	case memory && e.Refuel:
		e.chargeShifted(true, growShift+1)
	case memory:
		e.chargeShifted(true, growShift)
	default:
		e.chargeShifted(true, entryShift)
	}
	e.out = append(e.out, opEnd)
}

// takeStack writes what a function begins with: the stack has less, by its frame, or traps; and a block begins, which returns leave.
func (e *emitter) takeStack() {
	e.op(globalGet, uint64(e.stack))
	e.constant(e.frame)
	e.out = append(e.out, i64Sub)
	e.op(globalSet, uint64(e.stack))
	e.stopBelowZero(e.stack)
	e.out = append(e.out, opBlock)
	switch results := e.result.Results; len(results) {
	case 0:
		e.out = append(e.out, 0x40)
	case 1:
		e.out = append(e.out, results[0])
	default:
		e.out = putSigned(e.out, uint64(e.addType(e.result)))
	}
}

// giveStack writes what it ends with.
func (e *emitter) giveStack() {
	e.op(globalGet, uint64(e.stack))
	e.constant(e.frame)
	e.out = append(e.out, i64Add)
	e.op(globalSet, uint64(e.stack))
	e.out = append(e.out, opEnd)
}

// putSigned32 appends a number of 32 bits as the constant of an i32 that has the same bits.
func putSigned32(b []byte, v uint32) []byte {
	n := int32(v)
	for {
		o := byte(n & 0x7f)
		n >>= 7
		if n == 0 && o < 0x40 || n == -1 && o >= 0x40 {
			return append(b, o)
		}
		b = append(b, o|0x80)
	}
}
