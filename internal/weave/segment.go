package weave

import "unicode/utf8"

// Elements and data are copied as they are. They are read to see that what they say of their length is true.

// readConstant reads a constant expression (core specification, 3.3.10). That its type fits is not looked at.
func readConstant(r *reader) {
	for r.err == nil {
		switch op := r.octet(); op {
		case opEnd:
			return
		case i32Const:
			r.leb(35)
		case i64Const:
			r.leb(70)
		case f32Const:
			r.take(4)
		case f64Const:
			r.take(8)
		case globalGet, refFunc:
			r.u32()
		case refNull:
			r.octet()
		case prefixVector:
			if r.u32() != vectorConst {
				r.failf("a constant is more than that in WebAssembly 2.0")
			}
			r.take(16)
		default:
			r.failf("a constant has the instruction %#x, which WebAssembly 2.0 does not allow", op)
		}
	}
}

const vectorConst = 12

// readElement reads one segment of elements, and returns how many it has. Bits of its flags: not active, has a table or is declared, has expressions (core specification, 5.5.12).
func readElement(r *reader) (n int) {
	flags := r.u32()
	if flags > 7 {
		r.failf("elements with flags %#x, which WebAssembly 2.0 does not have", flags)
	}
	if flags&1 == 0 {
		if flags&2 != 0 {
			r.u32()
		}
		readConstant(r)
	}
	if flags&3 != 0 {
		r.octet() // kind or type
	}
	n = r.count()
	for range n {
		if flags&4 != 0 {
			readConstant(r)
		} else {
			r.u32()
		}
	}
	return n
}

// readData reads one segment of data.
func readData(r *reader) {
	switch flags := r.u32(); flags {
	case 2:
		r.u32()
		readConstant(r)
	case 0:
		readConstant(r)
	case 1:
	default:
		r.failf("data with flags %#x, which WebAssembly 2.0 does not have", flags)
	}
	r.take(r.u32())
}

// functionNames returns the part of a section of names that has those of functions; nil if it is not well formed, or has more than most. It makes traps readable; what else is in custom
// sections (names of locals, where each line was, who compiled it) only costs memory.
func functionNames(b []byte, most int) []byte {
	const functions = 1
	for r := (&reader{b: b}); r.more(); {
		id := r.octet()
		names := r.take(r.u32())
		if r.err != nil {
			return nil
		}
		if id != functions {
			continue
		}
		in := &reader{b: names}
		n := in.count()
		text := true
		for range n {
			in.u32()
			text = utf8.ValidString(in.name()) && text
		}
		if !text || in.err != nil || in.more() || n > most {
			return nil
		}
		return append(put([]byte{id}, uint64(len(names))), names...)
	}
	return nil
}
