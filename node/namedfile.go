package node

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/settings"
)

// namedFolder holds the file of the local root as it came with the settings of a store, named by its SHA-256, in the folder of the node's part in it: what reads it wants a file, of which it takes the
// age for that of the zone.
const namedFolder = "named"

// localRootFile is where the file is that f names for the local root: where f says, or in the data folder, if its content came with f. One that can't be written down is told of by who reads it.
func (n *Node) localRootFile(f *settings.File, name string) string {
	file, came := f.Carried(name)
	if name == "" || !came {
		return f.Path(name)
	}
	sum := file.Sum()
	folder := filepath.Join(n.began.Node.Data, StoreFolder, namedFolder)
	path := filepath.Join(folder, hex.EncodeToString(sum[:]))
	content, err := file.Read()
	if err == nil {
		err = keepNamed(folder, path, content)
	}
	if err != nil {
		n.log.Error("a file that came with the settings could not be written down", "error", fmt.Errorf("writing %q as %q: %w", name, path, err), "hint", "make room on the disk of the data folder; the next change of the settings, or a restart, tries it again")
	}
	return path
}

// keepNamed writes a file that is not there yet, so that it keeps its time, and removes the others in its folder.
func keepNamed(folder, path string, content []byte) error {
	if err := MakeFolder(folder); err != nil {
		return err
	}
	if there, err := wholefile.Read(wholefile.OS{}, path, len(content)); err != nil || !bytes.Equal(there, content) {
		if err := wholefile.Write(wholefile.OS{}, path, content); err != nil {
			return err
		}
	}
	others, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.Name() != filepath.Base(path) {
			_ = os.Remove(filepath.Join(folder, o.Name())) // if it stays, the next change removes it
		}
	}
	return nil
}
