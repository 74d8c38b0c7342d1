package settings

import (
	"bytes"
	"strconv"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Blobs returns the digests of the blobs that a document names: of each of its sections that has the keys of [named] which are said of a blob, and no other. What a later release writes beside such a
// section is passed over: a node that passes documents on has those too. It costs next to nothing where there is none.
func Blobs(doc []byte) (all [][32]byte) {
	if !bytes.Contains(doc, []byte("sha256:")) {
		return nil
	}
	for _, said := range strictyaml.Sections(doc) {
		var sum digest
		size, err := strconv.ParseUint(said["size"], 10, 63)
		if len(said) == 3 && said["name"] != "" && err == nil && strconv.FormatUint(size, 10) == said["size"] && sum.UnmarshalText([]byte(said["sha256"])) == nil {
			all = append(all, sum)
		}
	}
	return all
}
