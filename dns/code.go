package dns

import (
	"fmt"
	"strconv"
	"strings"
)

// Type is the type of a record or a question (IANA registry "Resource Record (RR) TYPEs").
type Type uint16

// Types that the code knows by name. [Type.String] knows more.
const (
	TypeNone       Type = 0
	TypeA          Type = 1
	TypeNS         Type = 2
	TypeMD         Type = 3
	TypeMF         Type = 4
	TypeCNAME      Type = 5
	TypeSOA        Type = 6
	TypeMB         Type = 7
	TypeMG         Type = 8
	TypeMR         Type = 9
	TypeNULL       Type = 10
	TypePTR        Type = 12
	TypeHINFO      Type = 13
	TypeMINFO      Type = 14
	TypeMX         Type = 15
	TypeTXT        Type = 16
	TypeRP         Type = 17
	TypeAFSDB      Type = 18
	TypeRT         Type = 21
	TypeSIG        Type = 24
	TypeKEY        Type = 25
	TypePX         Type = 26
	TypeAAAA       Type = 28
	TypeNXT        Type = 30
	TypeSRV        Type = 33
	TypeNAPTR      Type = 35
	TypeKX         Type = 36
	TypeDNAME      Type = 39
	TypeOPT        Type = 41
	TypeDS         Type = 43
	TypeRRSIG      Type = 46
	TypeNSEC       Type = 47
	TypeDNSKEY     Type = 48
	TypeNSEC3      Type = 50
	TypeNSEC3PARAM Type = 51
	TypeTLSA       Type = 52
	TypeCDS        Type = 59
	TypeCDNSKEY    Type = 60
	TypeZONEMD     Type = 63
	TypeSVCB       Type = 64
	TypeHTTPS      Type = 65
	TypeNXNAME     Type = 128
	TypeTKEY       Type = 249
	TypeTSIG       Type = 250
	TypeIXFR       Type = 251
	TypeAXFR       Type = 252
	TypeMAILB      Type = 253
	TypeMAILA      Type = 254
	TypeANY        Type = 255
	TypeURI        Type = 256
	TypeCAA        Type = 257
)

// IsMeta tells whether t may only be asked, or only travels in a message, and so never names records of a zone (RFC 6895 section 3.1).
func (t Type) IsMeta() bool { return t == TypeNone || t == TypeOPT || 128 <= t && t <= 255 }

// String returns the mnemonic, or TYPE123 for a type without one (RFC 3597 section 5).
func (t Type) String() string {
	if s, ok := typeNames[t]; ok {
		return s
	}
	return "TYPE" + strconv.Itoa(int(t))
}

// ParseType reads a mnemonic in any case, or TYPE123.
func ParseType(s string) (Type, error) {
	up := strings.ToUpper(s)
	for t, name := range typeNames {
		if name == up {
			return t, nil
		}
	}
	if digits, ok := strings.CutPrefix(up, "TYPE"); ok {
		if v, err := strconv.ParseUint(digits, 10, 16); err == nil {
			return Type(v), nil
		}
	}
	return 0, fmt.Errorf("parsing record type %q: neither a known mnemonic nor TYPE0 to TYPE65535", s)
}

// MarshalText is [Type.String].
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText is [ParseType].
func (t *Type) UnmarshalText(b []byte) error {
	v, err := ParseType(string(b))
	if err == nil {
		*t = v
	}
	return err
}

// Class is the class of a record or question.
type Class uint16

// Classes of RFC 1035 section 3.2.4 and RFC 2136.
const (
	ClassINET  Class = 1
	ClassCHAOS Class = 3
	ClassHS    Class = 4
	ClassNONE  Class = 254
	ClassANY   Class = 255
)

// String returns the mnemonic, or CLASS123 (RFC 3597 section 5).
func (c Class) String() string {
	switch c {
	case ClassINET:
		return "IN"
	case ClassCHAOS:
		return "CH"
	case ClassHS:
		return "HS"
	case ClassNONE:
		return "NONE"
	case ClassANY:
		return "ANY"
	}
	return "CLASS" + strconv.Itoa(int(c))
}

// RCode is a response code, with the upper eight bits that EDNS adds (RFC 6891 section 6.1.3).
type RCode uint16

// Response codes (IANA registry "DNS RCODEs").
const (
	RCodeSuccess        RCode = 0
	RCodeFormatError    RCode = 1
	RCodeServerFailure  RCode = 2
	RCodeNameError      RCode = 3
	RCodeNotImplemented RCode = 4
	RCodeRefused        RCode = 5
	RCodeYXDomain       RCode = 6
	RCodeYXRRSet        RCode = 7
	RCodeNXRRSet        RCode = 8
	RCodeNotAuth        RCode = 9
	RCodeNotZone        RCode = 10
	RCodeBadVersion     RCode = 16
	RCodeBadCookie      RCode = 23
)

var rcodeNames = map[RCode]string{
	0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN", 7: "YXRRSET",
	8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI", 16: "BADVERS", 17: "BADKEY", 18: "BADTIME", 19: "BADMODE",
	20: "BADNAME", 21: "BADALG", 22: "BADTRUNC", 23: "BADCOOKIE",
}

// String returns the mnemonic that dig prints, or RCODE123.
func (r RCode) String() string {
	if s, ok := rcodeNames[r]; ok {
		return s
	}
	return "RCODE" + strconv.Itoa(int(r))
}

// MarshalText is [RCode.String].
func (r RCode) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// Opcode is the kind of a message.
type Opcode uint8

// Opcodes (IANA registry "DNS OpCodes").
const (
	OpcodeQuery  Opcode = 0
	OpcodeStatus Opcode = 2
	OpcodeNotify Opcode = 4
	OpcodeUpdate Opcode = 5
)

// String returns the name of the registry in upper case, or OPCODE9.
func (o Opcode) String() string {
	switch o {
	case OpcodeQuery:
		return "QUERY"
	case OpcodeStatus:
		return "STATUS"
	case OpcodeNotify:
		return "NOTIFY"
	case OpcodeUpdate:
		return "UPDATE"
	}
	return "OPCODE" + strconv.Itoa(int(o))
}

// typeNames is the registry of IANA as of November 2026.
var typeNames = map[Type]string{
	1: "A", 2: "NS", 3: "MD", 4: "MF", 5: "CNAME", 6: "SOA", 7: "MB", 8: "MG", 9: "MR", 10: "NULL", 11: "WKS", 12: "PTR",
	13: "HINFO", 14: "MINFO", 15: "MX", 16: "TXT", 17: "RP", 18: "AFSDB", 19: "X25", 20: "ISDN", 21: "RT", 22: "NSAP",
	23: "NSAP-PTR", 24: "SIG", 25: "KEY", 26: "PX", 27: "GPOS", 28: "AAAA", 29: "LOC", 30: "NXT", 31: "EID", 32: "NIMLOC",
	33: "SRV", 34: "ATMA", 35: "NAPTR", 36: "KX", 37: "CERT", 38: "A6", 39: "DNAME", 40: "SINK", 41: "OPT", 42: "APL", 43: "DS",
	44: "SSHFP", 45: "IPSECKEY", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 49: "DHCID", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA",
	53: "SMIMEA", 55: "HIP", 56: "NINFO", 57: "RKEY", 58: "TALINK", 59: "CDS", 60: "CDNSKEY", 61: "OPENPGPKEY", 62: "CSYNC",
	63: "ZONEMD", 64: "SVCB", 65: "HTTPS", 66: "DSYNC", 67: "HHIT", 68: "BRID", 99: "SPF", 100: "UINFO", 101: "UID",
	102: "GID", 103: "UNSPEC", 104: "NID", 105: "L32", 106: "L64", 107: "LP", 108: "EUI48",
	109: "EUI64", 128: "NXNAME", 249: "TKEY", 250: "TSIG", 251: "IXFR", 252: "AXFR", 253: "MAILB", 254: "MAILA", 255: "ANY",
	256: "URI", 257: "CAA", 258: "AVC", 259: "DOA", 260: "AMTRELAY", 261: "RESINFO", 262: "WALLET", 263: "CLA", 264: "IPN", 32768: "TA", 32769: "DLV",
}
