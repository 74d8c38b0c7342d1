package weave_test

import "github.com/ananas-edge/ananas/internal/weave"

// What follows writes modules: octets in the order of the binary format (core specification, 5).

func leb(v uint64) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func cat(parts ...[]byte) (out []byte) {
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func str(s string) []byte { return append(leb(uint64(len(s))), s...) }

func vec(entries ...[]byte) []byte { return append(leb(uint64(len(entries))), cat(entries...)...) }

func section(id byte, content []byte) []byte {
	return cat([]byte{id}, leb(uint64(len(content))), content)
}

func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), cat(sections...)...)
}

func function(locals []byte, code ...byte) []byte {
	b := cat(locals, code, []byte{0x0b})
	return append(leb(uint64(len(b))), b...)
}

// filler is a module that puts host.f into the table of guest.
func filler() []byte {
	return module(
		section(1, vec([]byte{0x60, 0, 0})),
		section(2, vec(cat(str("host"), str("f"), []byte{0, 0}), cat(str("guest"), str(weave.RefuelTable), []byte{1, 0x70, 1, 1, 1}))),
		section(9, vec([]byte{0, 0x41, 0, 0x0b, 1, 0})),
	)
}
