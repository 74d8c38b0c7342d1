package weave

// Opcodes that the weaver knows by name (core specification, 5.4).
const (
	opUnreachable, opNop, opBlock, opLoop, opIf, opElse    = 0x00, 0x01, 0x02, 0x03, 0x04, 0x05
	opEnd, opBr, opBrIf, opBrTable, opReturn               = 0x0b, 0x0c, 0x0d, 0x0e, 0x0f
	opCall, opCallIndirect, opDrop, opSelect, opSelectType = 0x10, 0x11, 0x1a, 0x1b, 0x1c

	localGet, localSet, localTee, globalGet, globalSet, tableGet, tableSet = 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26

	memorySize, memoryGrow                     = 0x3f, 0x40
	i32Const, i64Const, f32Const, f64Const     = 0x41, 0x42, 0x43, 0x44
	i64LtS, i32LeU, i64Sub, i64ShrU            = 0x53, 0x4d, 0x7d, 0x88
	i64Add, i64Shl, i64ExtendU                 = 0x7c, 0x86, 0xad
	refNull, refIsNull, refFunc                = 0xd0, 0xd1, 0xd2
	prefixMisc, prefixVector                   = 0xfc, 0xfd
	memoryInit, memoryCopy, memoryFill         = 8, 10, 11
	dataDrop, elemDrop                         = 9, 13
	tableInit, tableCopy, tableGrow, tableFill = 12, 14, 15, 17
	tableSize                                  = 16
)

// immediates is what follows an opcode.
type immediates byte

const (
	none      immediates = iota
	one                  // a number
	two                  // two numbers: alignment and offset, type and table
	lane                 // an octet
	twoLane              // alignment, offset, and an octet
	octets16             // a vector's constant, the lanes of a shuffle
	octets4              // f32.const
	octets8              // f64.const
	sleb32               // i32.const
	sleb64               // i64.const
	reference            // a reference type
	special              // read by its own code
	unknown              // not of WebAssembly 2.0
)

// instruction is what the weaver has to know of an opcode.
type instruction struct {
	imm   immediates
	cost  uint8 // fuel
	delta int8  // what it adds to the operands, or takes from them
}

// Costs: a unit is what an addition costs with what is around it, and no instruction takes much more than a nanosecond for its price, on a processor of 2 to 3 GHz, as long as its data are in the
// second cache (BenchmarkFuel of package wasm measures the dear ones). A load that misses all caches takes 100 to 300: who needs fuel to be time keeps memories small.
const (
	costPlain  = 1
	costMemory = 2
	costDivide = 12 // 64 bits by 64 bits; square roots
	costBranch = 1  // foretold mostly
	costTable  = 4  // br_table, call_indirect: not foretold, and checked
	costCall   = 4  // beside the frame that the called function charges
	costLatent = 2  // multiplications and the like: 3 or 4 cycles until the result can be used
	costVector = 2
	costSlow   = 8 // float to integer and back with its checks, rounding, minima
	costBulk   = 8
	costGrow   = 60
)

// basic has the opcodes of one octet.
var basic = basicTable()

func basicTable() (t [256]instruction) {
	for i := range t {
		t[i].imm = unknown
	}
	set := func(from, to int, in instruction) {
		for i := from; i <= to; i++ {
			t[i] = in
		}
	}
	set(0x00, 0x05, instruction{imm: special})
	set(0x0b, 0x11, instruction{imm: special})
	t[opNop] = instruction{}
	t[opDrop] = instruction{delta: -1}
	t[opSelect] = instruction{cost: costPlain, delta: -2}
	t[opSelectType] = instruction{imm: special, cost: costPlain, delta: -2}
	t[localGet] = instruction{imm: one, delta: 1}
	t[localSet] = instruction{imm: one, delta: -1}
	t[localTee] = instruction{imm: one}
	t[globalGet] = instruction{imm: one, cost: costPlain, delta: 1}
	t[globalSet] = instruction{imm: one, cost: costPlain, delta: -1}
	t[tableGet] = instruction{imm: one, cost: costTable}
	t[tableSet] = instruction{imm: one, cost: costTable, delta: -2}
	set(0x28, 0x35, instruction{imm: two, cost: costMemory})
	set(0x36, 0x3e, instruction{imm: two, cost: costMemory, delta: -2})
	t[memorySize] = instruction{imm: one, cost: costPlain, delta: 1}
	t[memoryGrow] = instruction{imm: one, cost: costGrow}
	t[i32Const] = instruction{imm: sleb32, delta: 1}
	t[i64Const] = instruction{imm: sleb64, delta: 1}
	t[f32Const] = instruction{imm: octets4, delta: 1}
	t[f64Const] = instruction{imm: octets8, delta: 1}
	set(0x45, 0xc4, instruction{cost: costPlain, delta: -1}) // two operands; those with one are set below
	for _, unary := range [][2]int{{0x45, 0x45}, {0x50, 0x50}, {0x67, 0x69}, {0x79, 0x7b}, {0x8b, 0x91}, {0x99, 0x9f}, {0xa7, 0xc4}} {
		set(unary[0], unary[1], instruction{cost: costPlain})
	}
	for _, divide := range [][2]int{{0x6d, 0x70}, {0x7f, 0x82}, {0x95, 0x95}, {0xa3, 0xa3}} {
		set(divide[0], divide[1], instruction{cost: costDivide, delta: -1})
	}
	for _, latent := range [][2]int{{0x67, 0x69}, {0x6c, 0x6c}, {0x79, 0x7b}, {0x7e, 0x7e}, {0x92, 0x94}, {0xa0, 0xa2}} {
		for i := latent[0]; i <= latent[1]; i++ {
			t[i].cost = costLatent
		}
	}
	t[0x91].cost, t[0x9f].cost = costDivide, costDivide // square roots
	for _, slow := range [][2]int{{0x8d, 0x90}, {0x96, 0x97}, {0x9b, 0x9e}, {0xa4, 0xa5}, {0xa8, 0xab}, {0xae, 0xba}} {
		for i := slow[0]; i <= slow[1]; i++ {
			t[i].cost = costSlow
		}
	}
	t[refNull] = instruction{imm: reference, delta: 1}
	t[refIsNull] = instruction{cost: costPlain}
	t[refFunc] = instruction{imm: one, cost: costTable, delta: 1}
	return t
}

// misc has those behind 0xfc.
var misc = [...]instruction{
	0: {cost: costSlow}, 1: {cost: costSlow}, 2: {cost: costSlow}, 3: {cost: costSlow},
	4: {cost: costSlow}, 5: {cost: costSlow}, 6: {cost: costSlow}, 7: {cost: costSlow},
	memoryInit: {two, costGrow, -3}, dataDrop: {one, costTable, 0}, memoryCopy: {two, costBulk, -3}, memoryFill: {one, costBulk, -3},
	tableInit: {two, costGrow, -3}, elemDrop: {one, costTable, 0}, tableCopy: {two, costGrow, -3}, tableGrow: {one, costGrow, -1},
	tableSize: {one, costPlain, 1}, tableFill: {one, costTable, -3},
}

// vector has those behind 0xfd. Of most it says that they leave as many operands as they take, though they take two and leave one: what is
// too high costs fuel for a frame, and as many instructions.
var vector = vectorTable()

func vectorTable() (t [256]instruction) {
	for i := range t {
		t[i] = instruction{none, costVector, 0}
	}
	for i := 0; i <= 10; i++ {
		t[i] = instruction{two, costMemory, 0}
	}
	t[11] = instruction{two, costMemory, -2}
	t[12] = instruction{octets16, costPlain, 1}
	t[13] = instruction{octets16, costVector, -1}
	for i := 21; i <= 34; i++ {
		t[i] = instruction{lane, costVector, 0}
	}
	for i := 84; i <= 87; i++ {
		t[i] = instruction{twoLane, costMemory, -1}
		t[i+4] = instruction{twoLane, costMemory, -2}
	}
	t[92], t[93] = instruction{two, costMemory, 0}, instruction{two, costMemory, 0}
	for _, slow := range []int{103, 104, 105, 106, 116, 117, 122, 148, 227, 231, 239, 243} { // rounding, division, square roots
		t[slow].cost = costDivide
	}
	for i := 248; i <= 255; i++ {
		t[i].cost = costSlow
	}
	for _, gap := range []int{154, 162, 165, 166, 175, 176, 178, 179, 180, 187, 194, 197, 198, 207, 208, 210, 211, 212, 226, 238} {
		t[gap].imm = unknown
	}
	return t
}
