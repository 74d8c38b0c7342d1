package randomwasm

import "slices"

// What follows writes modules: octets in the order of the binary format (core specification, 5).

func leb(v uint64) (b []byte) {
	for ; v >= 0x80; v >>= 7 {
		b = append(b, byte(v)|0x80)
	}
	return append(b, byte(v))
}

func cat(parts ...[]byte) []byte { return slices.Concat(parts...) }

func str(s string) []byte { return append(leb(uint64(len(s))), s...) }

func vec(entries ...[]byte) []byte { return append(leb(uint64(len(entries))), cat(entries...)...) }

func section(id byte, content []byte) []byte {
	return cat([]byte{id}, leb(uint64(len(content))), content)
}

func module(sections ...[]byte) []byte {
	return append([]byte("\x00asm\x01\x00\x00\x00"), cat(sections...)...)
}
