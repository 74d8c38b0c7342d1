package dnssec

import "fmt"

// Settings say what is validated, and what that may cost.
type Settings struct {
	// SHA1Signatures has the algorithms 5 and 7 validated. Off, zones that have no other are insecure (RFC 9905 section 2): who can make
	// two documents with one SHA-1 digest can have one of them signed and publish the other.
	SHA1Signatures bool `yaml:"sha1_signatures"`

	// SHA1Digests has DS records with SHA-1 digests used, where no better one is beside them. What was shown of SHA-1 does not help to find
	// a second key with the digest of one that is there. Off, delegations that have no other are insecure.
	SHA1Digests bool `yaml:"sha1_digests"`

	Limits Limits `yaml:"limits"`
}

// Limits bound what validation may cost. Each that is reached counts in ananas_dnssec_limits_total by its name.
//
// The unit of signature work is a check of a cheap signature: 50 to 70 us on a server core for P-256, a little less for Ed25519 and for
// RSA of 2,048 bits. The dear ones weigh less than they cost, so that a zone may use them: P-384 takes 420 us to 1 ms and weighs 2,
// Ed448 140 us and 2, RSA of 4,096 bits 110 us and 3. A unit more is charged for each 16 KiB that are hashed and each 256 records sorted.
type Limits struct {
	// SignatureWork is how many units the signatures of one answer may cost. A name four zones down from the root, with nothing cached,
	// takes 7 checks for keys and DS, and a denial 5 (SOA, four proofs): 24 units if all is P-384. A chain of aliases takes 3 or 4 for each
	// that leads into another zone of a known parent: seven of P-256, where content networks chain 3 to 6; what a longer one got done is kept, and who asks
	// again goes on from there. At 32 the worst answer costs 2.2 ms with P-256, 4 ms on a core that others slow down, and 16 of P-384 are 7 to 15 ms.
	SignatureWork int `yaml:"signature_work" min:"16" max:"100000"`

	// FailedWork is how many of these units may be spent on signatures that turn out wrong. In honest zones a check fails if two keys have
	// one tag, or if records and signatures of two versions of a zone meet: 10 is room for five such places with P-384. A zone made to
	// cost (KeyTrap, CVE-2023-50387) gets 0.7 ms with P-256.
	FailedWork int `yaml:"failed_signature_work" min:"4" max:"100000"`

	// Signatures is how many signatures of one RRset are tried. A zone that changes its algorithm and its keys at a time has four.
	Signatures int `yaml:"signatures" min:"2" max:"1000"`

	// Collisions is how many keys of the same tag and algorithm are tried for one signature. Two keys of a zone have the same tag once in
	// 65,536 times, and signers make another key then.
	Collisions int `yaml:"key_tag_collisions" min:"1" max:"100"`

	// Keys is how many keys of one zone are used; those that its DS records name are always among them. The most that were ever seen in a
	// zone at work are a dozen. Reading one takes 1 us or less.
	Keys int `yaml:"keys" min:"4" max:"1000"`

	// Digests is how many digests of keys are computed for one answer. A delegation with four DS records of two kinds takes 4, and an
	// answer passes some eight delegations. At 1 us each, 32 us.
	Digests int `yaml:"ds_digests" min:"4" max:"10000"`

	// NSEC3Work is how many blocks of 64 octets are hashed for the denials of one answer. A reverse name of IPv6 has 34 ancestors, and with
	// 100 iterations each takes 101 blocks: 3,434. At 60 to 150 ns each, 4,000 take 0.2 to 0.6 ms (CVE-2023-50868).
	NSEC3Work int `yaml:"nsec3_work" min:"500" max:"1000000"`

	// Proofs is how many NSEC and NSEC3 records of one reply are looked at, and their signatures checked. A proof needs three at most, twice that
	// while a zone changes its parameters. Of a chain of aliases from wildcards, each with a proof of its own, what lies beyond is asked for apart.
	Proofs int `yaml:"proofs" min:"3" max:"1000"`

	// NSEC3Insecure is above how many iterations a denial is not checked, and the answer insecure (RFC 9276 section 3.2). Zones should
	// have 0; 100 is where large operators stopped when the RFC was written.
	NSEC3Insecure int `yaml:"nsec3_iterations_insecure" max:"2500"`

	// NSEC3Bogus is above how many the answer fails. 500 was the most that RFC 5155 section 10.3 allowed with keys of 2,048 bits.
	NSEC3Bogus int `yaml:"nsec3_iterations_bogus" max:"65535"`
}

// Defaults returns the settings of a node for which nothing else is set. The arithmetic is with the fields.
func Defaults() Settings {
	return Settings{
		SHA1Digests: true,
		Limits: Limits{
			SignatureWork: 32,
			FailedWork:    10,
			Signatures:    8,
			Collisions:    4,
			Keys:          64,
			Digests:       32,
			NSEC3Work:     4000,
			Proofs:        8,
			NSEC3Insecure: 100,
			NSEC3Bogus:    500,
		},
	}
}

// Table is [Settings] compiled. It is immutable.
type Table struct {
	sha1Signatures, sha1Digests bool
	limits                      Limits
}

// Compile checks the settings. The error names the key, within the section that the settings are in.
func Compile(s Settings) (*Table, error) {
	l := s.Limits
	for _, v := range []struct {
		key   string
		value int
	}{
		{"signature_work", l.SignatureWork}, {"failed_signature_work", l.FailedWork}, {"signatures", l.Signatures},
		{"key_tag_collisions", l.Collisions}, {"keys", l.Keys}, {"ds_digests", l.Digests}, {"nsec3_work", l.NSEC3Work},
		{"proofs", l.Proofs},
	} {
		if v.value < 1 {
			return nil, fmt.Errorf("limits.%s: %d is below 1", v.key, v.value)
		}
	}
	if l.NSEC3Insecure < 0 || l.NSEC3Insecure > l.NSEC3Bogus {
		return nil, fmt.Errorf("limits.nsec3_iterations_insecure: %d is not from 0 to nsec3_iterations_bogus, which is %d", l.NSEC3Insecure, l.NSEC3Bogus)
	}
	return &Table{sha1Signatures: s.SHA1Signatures, sha1Digests: s.SHA1Digests, limits: l}, nil
}

// Agrees tells whether the other table comes to the same verdicts as t, but for what each lets an answer cost.
func (t *Table) Agrees(o *Table) bool {
	return t.sha1Signatures == o.sha1Signatures && t.sha1Digests == o.sha1Digests &&
		t.limits.NSEC3Insecure == o.limits.NSEC3Insecure && t.limits.NSEC3Bogus == o.limits.NSEC3Bogus
}

// SupportsAlgorithm tells whether signatures by keys of this algorithm are validated.
func (t *Table) SupportsAlgorithm(a Algorithm) bool {
	u := a.row().use
	return u == supported || u == legacy && t.sha1Signatures
}

// SupportsDigest tells whether DS records with this type of digest are used.
func (t *Table) SupportsDigest(d Digest) bool {
	u := d.row().use
	return u == supported || u == legacy && t.sha1Digests
}
