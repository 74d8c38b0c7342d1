package weave

import (
	"fmt"
	"math"
)

// segment is code that runs from its first instruction to its last, if it does not trap: what is between two places where a branch starts or ends.
type segment struct {
	cost uint64

	// parent is the segment that ran before this one whenever this one runs, and since then once: it may be charged for both. Below zero: none.
	parent int
	lent   uint64 // of cost: what segments that follow were charged here
	folded bool   // charged at its parent
}

// edit is a place in a function's code where something is put in, or put instead.
type edit struct {
	at   int // before the octet there
	what change
	arg  uint64 // segment, maximum, or depth
	skip int    // octets of the code that are dropped
}

type change byte

const (
	charge      change = iota // a segment's cost
	chargeCheck               // the same, and stop below zero
	chargeLength
	chargeGrowth // of memory or a table, to arg at most
	leave        // return, by a branch to the block around the code
)

// block is a block, loop or if that is open, or the function itself.
type block struct {
	op       byte
	height   int // of the operands below it
	sig      Type
	opener   int  // segment that it stands in
	targeted bool // by a branch
	dead     bool // it stands where nothing runs
}

// scan is what was read of a function.
type scan struct {
	*weaver
	r        reader
	segments []segment
	edits    []edit
	blocks   []block
	now      int // segment
	dead     bool
	height   int // operands
	highest  int
	lengths  bool // one of its instructions is charged by its length
	result   Type
}

// scanCode reads the code of a function of type t, without its locals.
func (w *weaver) scanCode(code []byte, t Type) (*scan, error) {
	s := &scan{weaver: w, r: reader{b: code}, result: Type{Results: t.Results}}
	s.open(opBlock, s.result)
	s.segments = append(s.segments, segment{parent: -1})
	s.edit(0, chargeCheck, 0)
	for len(s.blocks) > 0 && s.r.err == nil {
		at := s.r.at
		s.instruction()
		if s.r.err != nil {
			return nil, fmt.Errorf("octet %d of the code: %w", at, s.r.err)
		}
		if err := within("blocks in one another", uint64(len(s.blocks)), uint64(w.Limits.Nesting)); err != nil {
			return nil, err
		}
	}
	if s.r.more() {
		return nil, fmt.Errorf("octet %d of the code: it goes on after its end", s.r.at)
	}
	if !w.exact {
		fold(s.segments)
	}
	return s, nil
}

// edit puts something before octet at of the code.
func (s *scan) edit(at int, what change, arg uint64) {
	s.edits = append(s.edits, edit{at: at, what: what, arg: arg})
}

// begin begins a segment at the next instruction.
func (s *scan) begin(parent int) {
	if s.dead {
		return
	}
	what := charge
	if parent < 0 {
		what = chargeCheck
	}
	s.now = len(s.segments)
	s.segments = append(s.segments, segment{parent: parent})
	s.edit(s.r.at, what, uint64(s.now))
}

// push adds to the height of the operands; n may be below zero. What nothing runs has none.
func (s *scan) push(n int) {
	s.height = max(s.height+n, 0)
	s.highest = max(s.highest, s.height)
}

func (s *scan) open(op byte, t Type) {
	s.push(-len(t.Params))
	s.blocks = append(s.blocks, block{op: op, height: s.height, sig: t, opener: s.now, dead: s.dead})
	s.push(len(t.Params))
}

// target notes a branch to the block at a depth.
func (s *scan) target(depth uint32) {
	if depth >= uint32(len(s.blocks)) {
		s.r.failf("a branch out of %d blocks, which stands in %d", depth, len(s.blocks))
		return
	}
	s.blocks[len(s.blocks)-1-int(depth)].targeted = true
}

// end says that nothing runs until the block ends.
func (s *scan) end() {
	s.dead = true
	s.height = s.blocks[len(s.blocks)-1].height
}

func (s *scan) cost(n uint64) {
	if !s.dead {
		s.segments[s.now].cost += n
	}
}

// instruction reads one.
func (s *scan) instruction() {
	at := s.r.at
	op := s.r.octet()
	in := basic[op]
	sub := uint32(0)
	switch op {
	case prefixMisc:
		in.imm = unknown
		if sub = s.r.u32(); sub < uint32(len(misc)) {
			in = misc[sub]
		}
	case prefixVector:
		in.imm = unknown
		if sub = s.r.u32(); sub < uint32(len(vector)) {
			in = vector[sub]
		}
	}
	s.cost(uint64(in.cost))
	switch in.imm {
	case one:
		s.r.u32()
	case two:
		s.r.u32()
		s.r.u32()
	case twoLane:
		s.r.u32()
		s.r.u32()
		s.r.octet()
	case lane:
		s.r.octet()
	case octets16:
		s.r.take(16)
	case octets4:
		s.r.take(4)
	case octets8:
		s.r.take(8)
	case sleb32:
		s.r.leb(35) // a sign makes no difference to its length
	case sleb64:
		s.r.leb(70)
	case reference:
		s.r.octet()
	case special:
		s.special(op, at)
	case unknown:
		s.r.failf("instruction %s is not of WebAssembly 2.0", spelled(op, sub))
	}
	switch {
	case s.r.err != nil || s.dead:
	case op == memoryGrow:
		s.lengths = true
		s.edit(at, chargeGrowth, uint64(s.Limits.MemoryPages)|growsMemory)
	case op == prefixMisc:
		s.bulk(at, sub)
	}
	s.push(int(in.delta))
}

// growsMemory tells the growth of a memory from a table's.
const growsMemory = 1 << 40

// bulk has an operation charged whose cost is that of its length, which is the last operand of all of them.
func (s *scan) bulk(at int, sub uint32) {
	switch sub {
	case memoryInit, memoryCopy, memoryFill, tableInit, tableCopy, tableFill:
		s.lengths = true
		s.edit(at, chargeLength, uint64(sub))
	case tableGrow:
		s.lengths = true
		s.edit(at, chargeGrowth, uint64(s.Limits.TableEntries))
	}
}

func spelled(op byte, sub uint32) string {
	if op == prefixMisc || op == prefixVector {
		return fmt.Sprintf("%#x %d", op, sub)
	}
	return fmt.Sprintf("%#x", op)
}

// blockType reads the type of a block.
func (s *scan) blockType() Type {
	at := s.r.at
	switch o := s.r.octet(); {
	case o == 0x40:
		return Type{}
	case isValueType(o):
		return Type{Results: []byte{o}}
	}
	s.r.at = min(at, len(s.r.b))
	i := s.r.leb(35)
	if i >= uint64(len(s.Module.types)) {
		s.r.failf("a block of type %d, of %d", i, len(s.Module.types))
		return Type{}
	}
	return s.Module.types[i]
}

// special reads what steers.
func (s *scan) special(op byte, at int) {
	switch op {
	case opUnreachable:
		s.end()
	case opBlock:
		s.open(op, s.blockType())
	case opLoop:
		s.open(op, s.blockType())
		s.begin(-1)
	case opIf:
		s.cost(costBranch)
		s.push(-1)
		s.open(op, s.blockType())
		s.begin(s.now)
	case opElse:
		b := &s.blocks[len(s.blocks)-1]
		if b.op != opIf {
			s.r.failf("else without if")
			return
		}
		s.dead, s.height = b.dead, b.height
		s.push(len(b.sig.Params))
		s.begin(b.opener)
	case opEnd:
		b := s.blocks[len(s.blocks)-1]
		s.blocks = s.blocks[:len(s.blocks)-1]
		straight := b.op == opBlock && !b.targeted && !s.dead
		s.dead, s.height = b.dead, b.height
		s.push(len(b.sig.Results))
		if len(s.blocks) > 0 && !straight {
			s.begin(b.opener)
		}
	case opBr:
		s.cost(costBranch)
		s.target(s.r.u32())
		s.end()
	case opBrIf:
		s.cost(costBranch)
		s.push(-1)
		s.target(s.r.u32())
		s.begin(s.now)
	case opBrTable:
		s.cost(costTable)
		for range s.r.count() {
			s.target(s.r.u32())
		}
		s.target(s.r.u32())
		s.end()
	case opReturn:
		s.cost(costBranch)
		if s.Refuel && !s.dead {
			s.edits = append(s.edits, edit{at, leave, uint64(len(s.blocks) - 1), 1})
		}
		s.end()
	case opCall:
		s.cost(costCall)
		s.called(s.callee(s.r.u32()), 0)
	case opCallIndirect:
		s.cost(costCall + costTable)
		t := s.typeIndex(&s.r)
		s.r.u32()
		if s.r.err == nil {
			s.called(s.Module.types[t], 1)
		}
	case opSelectType:
		for range s.r.count() {
			readValueType(&s.r)
		}
	}
}

func (s *scan) called(t Type, more int) {
	s.push(-len(t.Params) - more)
	s.push(len(t.Results))
}

// callee returns the type of a function.
func (s *scan) callee(f uint32) Type {
	own := int64(f) - int64(s.imported[Func])
	if own >= int64(len(s.functions)) {
		s.r.failf("a call of function %d, of %d", f, s.imported[Func]+len(s.functions))
		return Type{}
	}
	if own >= 0 {
		return s.Module.types[s.functions[own]]
	}
	for _, i := range s.Imports {
		if i.Kind == Func {
			if f == 0 {
				return i.Type
			}
			f--
		}
	}
	return Type{}
}

// frame returns how many octets of stack a call may take at most: each operand and local may be a vector, and around them are the return address, saved
// registers and what is aligned.
func (s *scan) frame(locals uint64) uint64 {
	return frameFixed + frameSlot*(locals+uint64(min(s.highest, math.MaxInt32)))
}

const (
	frameFixed = 128
	frameSlot  = 16
)
