package dns

// MixCase returns n with the case of each ASCII letter drawn from random: bits that who forges a reply must guess
// (draft-vixie-dnsext-dns0x20). random gives 64 random bits a call.
func (n Name) MixCase(random func() uint64) Name {
	var buf [MaxNameLen]byte
	b := append(buf[:0], n.wire...)
	var bits uint64
	left := 0
	for i, c := range b {
		if c = lower(c); c < 'a' || c > 'z' {
			continue
		}
		if left == 0 {
			bits, left = random(), 64
		}
		b[i] = c &^ byte(bits&1<<5)
		bits >>= 1
		left--
	}
	return Name{string(b)}
}
