package settings

import (
	"fmt"
	"strings"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// CheckFolder tells whether a key is a setting of this release, a folder of settings, or an entry of a list: what an operator may name where keys are chosen by how they
// begin. The error has the mend.
func CheckFolder(key string) error {
	all := leaves(Default().Settings)
	var known []string
	for _, l := range all {
		if l.key == key || strings.HasPrefix(l.key, key+"/") {
			return nil
		}
		if folder, _, entry := cutLast(key); l.list && entry && folder == l.key {
			return nil
		}
		for at := range len(l.key) {
			if l.key[at] == '/' {
				known = append(known, l.key[:at])
			}
		}
		known = append(known, l.key)
	}
	hint := "docs/settings.md lists the settings: folders are the words below settings:"
	if near := strictyaml.Nearest(key, known); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &FolderError{key, hint}
}

// FolderError says that there is no setting and no folder of a name.
type FolderError struct{ Key, Mend string }

func (e *FolderError) Error() string {
	return fmt.Sprintf("%q is no setting and no folder of settings", e.Key)
}

// Hint says what to do.
func (e *FolderError) Hint() string { return e.Mend }
