package main

import (
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/ananas-edge/ananas/settings"
)

// Names are kept where they lead to places of their own below the folder; all others are named after their content.
func TestPlacesOfFiles(t *testing.T) {
	for names, want := range map[string]string{
		"a.txt lists/b.txt":           "a.txt lists/b.txt",
		"/etc/a.txt ../a.txt a.txt":   "01-a.txt 02-a.txt a.txt",
		"./a.txt lists//b lists/../c": "01-a.txt 02-b 03-c",
		"settings.yaml":               "01-settings.yaml",
		"settings.yaml/a":             "01-a",
		"lists lists/b":               "01-lists lists/b",
		"/ .. .":                      "01 02 03",
		".ananas-get-1/a":             "01-a",
	} {
		var contents []settings.Content
		var got []string
		for i, name := range strings.Fields(names) {
			c := settings.Content{Name: name}
			c.SHA256[0] = byte(i + 1)
			contents = append(contents, c)
		}
		places := placesOf(contents)
		for _, c := range contents {
			got = append(got, strings.Replace(places[c.Name], "00000000000000", "", 1))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", names, got, want)
		}
	}
}

// Whatever the names are, each file has a place of its own below the folder, which is not that of the settings and in no file.
func TestPlacesAreApart(t *testing.T) {
	part := rapid.SampledFrom([]string{"a", "b", ".", "..", "", settingsName, "0000000000000000-a", "x0000000000000000-a", stagePrefix})
	rapid.Check(t, func(t *rapid.T) {
		seen := map[string]bool{}
		var contents []settings.Content
		for _, parts := range rapid.SliceOfN(rapid.SliceOfN(part, 1, 3), 1, 8).Draw(t, "names") {
			if name := strings.Join(parts, "/"); name != "" && !seen[name] {
				seen[name] = true
				contents = append(contents, settings.Content{Name: name})
			}
		}
		places := placesOf(contents)
		all := map[string]string{settingsName: "the settings"}
		for name, place := range places {
			if !filepath.IsLocal(place) || filepath.Clean(place) != place || place == "." {
				t.Fatalf("%q is at %q", name, place)
			}
			if other, twice := all[place]; twice {
				t.Fatalf("%q and %q are at %q", name, other, place)
			}
			all[place] = name
		}
		if len(places) != len(contents) {
			t.Fatalf("%v", places)
		}
		for place := range all {
			for folder := filepath.Dir(place); folder != "."; folder = filepath.Dir(folder) {
				if all[folder] != "" {
					t.Fatalf("%q is in the file %q", place, folder)
				}
			}
		}
	})
}
