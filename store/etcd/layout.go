package etcd

import (
	"encoding/binary"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/ananas-edge/ananas/store"
)

// What lies in etcd:
//
//	/h                       the head, as store.AppendHead writes it
//	/l/ version id           a record, as store.AppendRecord writes it: the version in 8 octets, big endian, so that keys are in the order of versions; the
//	                         id in 16, so that records are forgotten without being read
//	/k/ key                  an entry, as store.AppendEntry writes it
//	/c/ id                   the version of a commit, in 8 octets, big endian; 0: it was asked for before it was decided, and is decided no more. As long as its record
//	/e/ ...                  who leads, and who wants to: package concurrency of etcd's client
//	/d/ ...                  who writes its file anew: the same
//
// There is always a record of the head's version, unless that is 0.
const (
	headKey      = "/h"
	recordPrefix = "/l/"
	entryPrefix  = "/k/"
	commitPrefix = "/c/"
	electPrefix  = "/e"
	defragPrefix = "/d"
)

func versionOctets(v store.Version) string {
	return string(binary.BigEndian.AppendUint64(nil, uint64(v)))
}

// recordFrom returns where the records from a version on begin.
func recordFrom(v store.Version) string { return recordPrefix + versionOctets(v) }

// afterRecords returns the end of the range of all records.
func afterRecords() clientv3.OpOption {
	return clientv3.WithRange(clientv3.GetPrefixRangeEnd(recordPrefix))
}

func recordKey(v store.Version, id store.ID) string {
	return recordPrefix + versionOctets(v) + string(id[:])
}

// parseRecordKey is the reverse of recordKey.
func parseRecordKey(key string) (v store.Version, id store.ID, err error) {
	const versionAt, idAt = len(recordPrefix), len(recordPrefix) + 8
	if len(key) != idAt+len(id) || key[:versionAt] != recordPrefix {
		return 0, store.ID{}, fmt.Errorf("etcd has a key %q that is none of ours", key)
	}
	copy(id[:], key[idAt:])
	return store.Version(binary.BigEndian.Uint64([]byte(key[versionAt:idAt]))), id, nil
}

func commitKey(id store.ID) string { return commitPrefix + string(id[:]) }

// parseVersion reads the value at the key of a commit.
func parseVersion(b []byte) (store.Version, error) {
	if len(b) != 8 {
		return 0, fmt.Errorf("etcd has a version of %d octets at the id of a commit", len(b))
	}
	return store.Version(binary.BigEndian.Uint64(b)), nil
}
