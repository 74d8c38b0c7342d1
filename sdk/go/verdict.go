//go:build wasip1

package ananas

import (
	"encoding/binary"
	"net/netip"
)

// room is that of the buffer: what phase answer needs.
const room = 73_728

const (
	headLen = 24
	maxText = 1024
	maxTag  = 63 // of a group too
	maxData = room - headLen - maxText - 2*maxTag
)

// Verdict is what is to become of a query. Texts that have no room are cut.
type Verdict struct {
	action, flags uint8
	ede           uint16
	ttl           uint32
	text          [maxText]byte
	group, tag    [maxTag]byte
	data          [maxData]byte

	textLen, groupLen, tagLen, dataLen int
}

const (
	actGoOn = iota
	actRecords
	actNXDomain
	actNoData
	actAddress
	actRefuse
	actDrop
	actRewrite
)

func (v *Verdict) begin() {
	v.act(actGoOn, 0)
	v.flags, v.ede, v.textLen, v.groupLen, v.tagLen = 0, 0, 0, 0, 0
}

func (v *Verdict) act(action uint8, ttl uint32) { v.action, v.ttl, v.dataLen = action, ttl, 0 }

func (v *Verdict) put(b []byte) { v.dataLen += copy(v.data[v.dataLen:], b) }

// GoOn is as if the plugin were not there.
func (v *Verdict) GoOn() { v.act(actGoOn, 0) }

// NXDomain says that the name does not exist. The TTL of what the node makes is in seconds, here and below.
func (v *Verdict) NXDomain(ttl uint32) { v.act(actNXDomain, ttl) }

// NoData says that the name has no such records.
func (v *Verdict) NoData(ttl uint32) { v.act(actNoData, ttl) }

// Address gives these addresses, up to 32 of each kind, and no records of other types. All of IPv4 stand before those of IPv6.
func (v *Verdict) Address(ttl uint32, addrs ...netip.Addr) {
	v.act(actAddress, ttl)
	v.data[0], v.data[1], v.dataLen = 0, 0, 2
	for _, a := range addrs {
		if a.Is4() && v.data[0] < 32 {
			four := a.As4()
			v.data[0]++
			v.put(four[:])
		}
	}
	for _, a := range addrs {
		if a.Is6() && v.data[1] < 32 {
			sixteen := a.As16()
			v.data[1]++
			v.put(sixteen[:])
		}
	}
}

// Refuse is REFUSED.
func (v *Verdict) Refuse() { v.act(actRefuse, 0) }

// Drop gives no answer at all.
func (v *Verdict) Drop() { v.act(actDrop, 0) }

// Answer makes the records that are put from now on the answer; at phase answer they stand in place of all that there are.
func (v *Verdict) Answer() { v.act(actRecords, 0) }

// Rewrite gives what another name has, behind an alias to it. Phase query.
func (v *Verdict) Rewrite(ttl uint32, name []byte) {
	v.act(actRewrite, ttl)
	v.put(name)
}

// Put puts a record; false if there is no room for it. Behind NXDomain and NoData it is the SOA record of the zone, which is shown, and has the denial kept, in place of the node's.
func (v *Verdict) Put(r *Record) bool {
	if len(r.Name) > 255 || len(r.Data) > 65535 || len(r.Name)+10+len(r.Data) > maxData-v.dataLen {
		return false
	}
	v.put(r.Name)
	be, h := binary.BigEndian, v.data[v.dataLen:v.dataLen+10]
	be.PutUint16(h, r.Type)
	be.PutUint16(h[2:], 1) // class IN
	be.PutUint32(h[4:], r.TTL)
	be.PutUint16(h[8:], uint16(len(r.Data)))
	v.dataLen += 10
	v.put(r.Data)
	return true
}

// Why says why, as an extended error (RFC 8914): 15 is blocked, 16 censored, 17 filtered.
func (v *Verdict) Why(code uint16, text string) {
	v.ede, v.textLen = code+1, copy(v.text[:], text)
}

// Group is the group of servers that is to resolve the query, if it goes on or is rewritten: one of the node's settings. Phase query.
func (v *Verdict) Group(name string) { v.groupLen = copy(v.group[:], name) }

// Tag is a word for logs and views.
func (v *Verdict) Tag(text string) { v.tagLen = copy(v.tag[:], text) }

// NoCache says that neither what is cached nor what would be kept is used for this query.
func (v *Verdict) NoCache() { v.flags |= 1 }

func (v *Verdict) end(b []byte) int32 {
	if v.action == actGoOn && v.flags == 0 && v.ede == 0 && v.groupLen == 0 && v.tagLen == 0 {
		return 0
	}
	le := binary.LittleEndian
	clear(b[:headLen])
	le.PutUint16(b, headLen)
	b[2], b[3] = v.action, v.flags
	le.PutUint16(b[4:], v.ede)
	le.PutUint16(b[6:], uint16(v.textLen))
	le.PutUint32(b[8:], v.ttl)
	le.PutUint16(b[12:], uint16(v.groupLen))
	le.PutUint16(b[14:], uint16(v.tagLen))
	le.PutUint32(b[16:], uint32(v.dataLen))
	n := headLen
	n += copy(b[n:], v.text[:v.textLen])
	n += copy(b[n:], v.group[:v.groupLen])
	n += copy(b[n:], v.tag[:v.tagLen])
	n += copy(b[n:], v.data[:v.dataLen])
	return int32(n)
}
