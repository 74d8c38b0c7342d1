package settings

import (
	"bytes"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// reference is a document that names a blob: what [named] is, whatever the key, and of any size: a node that passes documents on has those of later releases too.
type reference struct {
	Name   string `yaml:"name" required:"true"`
	SHA256 digest `yaml:"sha256" required:"true"`
	Size   int    `yaml:"size" required:"true" min:"0"`
}

// Blobs returns the digests of the blobs that a document names: none, or one. It costs next to nothing where there is none.
func Blobs(doc []byte) [][32]byte {
	if !bytes.Contains(doc, []byte("sha256:")) {
		return nil
	}
	var r reference
	if _, err := strictyaml.DecodeValue("", doc, &r, ""); err != nil || r.Name == "" {
		return nil // a text with that word in it, or something of a later release
	}
	return [][32]byte{r.SHA256}
}
