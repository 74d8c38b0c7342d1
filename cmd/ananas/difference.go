package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/settings"
)

// writeDifferences writes what is different, a paragraph for each key.
func writeDifferences(w io.Writer, screen terminal.Screen, list []admin.Difference) error {
	styles := map[settings.Mark]terminal.Style{settings.Removed: terminal.Red, settings.Added: terminal.Green}
	for i, d := range list {
		if i > 0 {
			if _, err := io.WriteString(w, "\n"); err != nil {
				return err
			}
		}
		one := settings.Difference{Key: terminal.Clean(d.Key), Old: document(d.Old), New: document(d.New)}
		err := settings.WriteDifference(w, []settings.Difference{one}, func(m settings.Mark, line string) string { return screen.Paint(styles[m], line) })
		if err != nil {
			return err
		}
	}
	return nil
}

func document(text *string) []byte {
	if text == nil {
		return nil
	}
	return []byte(*text)
}

// changes counts what is different: 3 keys: 1 new, 1 changed, 1 removed.
func changes(list []admin.Difference) string {
	var added, changed, removed int
	for _, d := range list {
		switch {
		case d.Old == nil:
			added++
		case d.New == nil:
			removed++
		default:
			changed++
		}
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{added, "new"}, {changed, "changed"}, {removed, "removed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return count(len(list), "key", "keys") + ": " + strings.Join(parts, ", ")
}

// settingOf returns the setting that a key is about: of a change set the one that it will be.
func settingOf(key string) string {
	if rest, ok := strings.CutPrefix(key, "~set/"); ok {
		if _, setting, ok := strings.Cut(rest, "/"); ok {
			return setting
		}
	}
	return key
}

// below tells whether a key is a prefix or lies below it; all do below "".
func below(key, prefix string) bool {
	prefix = strings.TrimSuffix(prefix, "/")
	setting := settingOf(key)
	return prefix == "" || setting == prefix || strings.HasPrefix(setting, prefix+"/")
}
