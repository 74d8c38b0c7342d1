package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/settings"
)

// settingsName is what the settings are called in the folder of `ananas get --files`.
const settingsName = "settings.yaml"

// fetched is a file to put into a folder.
type fetched struct {
	place string // within the folder
	settings.Content
	there bool // already, the same
}

// saveFiles writes the settings and all files that they name into a folder. Nothing is put there before all of it is whole beside it, and the settings are the last.
func (c *getCommand) saveFiles(p *process, node *client.Client, list admin.SettingsList, docs map[string][]byte, head string) error {
	contents, err := settings.Contents(docs)
	if err != nil {
		return fmt.Errorf("reading version %d of the settings: %w", list.Version, err)
	}
	places := placesOf(contents)
	var files []fetched
	octets := int64(0)
	for _, one := range contents {
		files = append(files, fetched{place: places[one.Name], Content: one})
		octets += one.Size
	}
	text := append([]byte(head), settings.TextBeside(docs, places)...)
	files = append(files, fetched{place: settingsName, Content: settings.Content{Name: settingsName, SHA256: sha256.Sum256(text), Size: int64(len(text)), Content: text}})
	if err := c.compare(files); err != nil {
		return err
	}
	if err := c.put(p, node, files); err != nil {
		return fmt.Errorf("saving the settings in %q: %w", c.Files, err)
	}
	for _, f := range files {
		if f.place != f.Name {
			if _, err := fmt.Fprintf(p.stderr, "warning: the file that the settings name as %s would not be in the folder: it is %s there, and is named so\n", terminal.Clean(f.Name), terminal.Clean(f.place)); err != nil {
				return err
			}
		}
	}
	if n := strings.Count("\n"+string(text), "\n"+settings.UnknownKey); n > 0 {
		if _, err := fmt.Fprintf(p.stderr, "warning: this release does not know %s: what %s, stands in comments, and is not applied\nhint: take the release that the node has\n", count(n, "key", "keys"), map[bool]string{true: "it says", false: "they say"}[n == 1]); err != nil {
			return err
		}
	}
	return p.say("%s: %s, version %s, and %s of %s", terminal.Clean(filepath.Join(c.Files, settingsName)), count(len(docs), "key", "keys"), thousands(list.Version), count(len(contents), "file", "files"), size(octets))
}

// placesOf gives each file a name in the folder: that which the settings have for it, as long as that is below the folder, and the place of nothing else. Names come from whoever has applied settings at some
// time, and from a node: what would lie elsewhere, as /etc/x and ../x do, is named after its content.
func placesOf(contents []settings.Content) map[string]string {
	taken := map[string]bool{settingsName: true}
	own := func(name string) bool {
		return filepath.IsLocal(name) && filepath.Clean(name) == name && name != "." && !strings.HasPrefix(name, stagePrefix)
	}
	for _, c := range contents {
		if own(c.Name) {
			for folder := filepath.Dir(c.Name); folder != "."; folder = filepath.Dir(folder) {
				taken[folder] = true // as a folder, so that no file can have the name
			}
		}
	}
	places := make(map[string]string, len(contents))
	for _, c := range contents {
		if own(c.Name) && !taken[c.Name] && !strings.HasPrefix(c.Name, settingsName+"/") {
			places[c.Name], taken[c.Name] = c.Name, true
		}
	}
	for _, c := range contents {
		if places[c.Name] != "" {
			continue
		}
		place := fmt.Sprintf("%x", c.SHA256[:8])
		if base := filepath.Base(c.Name); filepath.IsLocal(base) && base != "." {
			place += "-" + base
		}
		for taken[place] {
			place = "x" + place
		}
		places[c.Name], taken[place] = place, true
	}
	return places
}

// compare finds which files are there already, and refuses what would replace others, unless that is wanted.
func (c *getCommand) compare(files []fetched) error {
	var others []string
	for i := range files {
		f := &files[i]
		path := filepath.Join(c.Files, f.place)
		info, err := os.Stat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fileFault(err)
		case info.Mode().IsRegular() && info.Size() == f.Size:
			if f.there, err = hasSum(path, f.SHA256); err != nil {
				return fileFault(err)
			}
		}
		if !f.there {
			others = append(others, path)
		}
	}
	if len(others) == 0 || c.Force {
		return nil
	}
	return hinted{fmt.Errorf("saving the settings in %q: %s there already, and with another content: %s", c.Files, count(len(others), "file is", "files are"), strings.Join(others[:min(len(others), maxOthers)], ", ")),
		"name another folder, or replace them with --force; nothing was changed"}
}

// maxOthers is how many files an error names.
const maxOthers = 10

// hasSum tells whether a file has that SHA-256.
func hasSum(path string, sum [32]byte) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return false, err
	}
	return [32]byte(h.Sum(nil)) == sum, nil
}

// stagePrefix begins the name of the folder in which files are until all of them are whole.
const stagePrefix = ".ananas-get-"

// put writes what is not there yet: all of it into a folder of its own first, which then becomes the folder that is wanted, or the files of which are moved into that.
func (c *getCommand) put(p *process, node *client.Client, files []fetched) (err error) {
	_, missing := os.Stat(c.Files)
	fresh := errors.Is(missing, fs.ErrNotExist)
	beside := c.Files
	if fresh {
		beside = filepath.Dir(filepath.Clean(c.Files))
	}
	// One within the other, since the first is for its owner alone, and what becomes the folder is as others are that are made here.
	own, err := os.MkdirTemp(beside, stagePrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if gone := os.RemoveAll(own); err == nil && gone != nil {
			err = fmt.Errorf("removing what is left over: %w", gone)
		}
	}()
	stage := filepath.Join(own, "files")
	if err := os.Mkdir(stage, 0o777); err != nil {
		return err
	}
	for _, f := range files {
		if f.there {
			continue
		}
		if err := fetch(p, node, filepath.Join(stage, f.place), f.Content); err != nil {
			return err
		}
	}
	if fresh {
		if err := os.Rename(stage, c.Files); err != nil {
			return err
		}
		return wholefile.OS{}.SyncDir(beside)
	}
	for _, f := range files {
		if f.there {
			continue
		}
		if err := c.move(filepath.Join(stage, f.place), filepath.Join(c.Files, f.place)); err != nil {
			return err
		}
	}
	return nil
}

// fetch writes a file, which is on the disk afterwards.
func fetch(p *process, node *client.Client, path string, c settings.Content) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if c.Content != nil {
		if _, err := f.Write(c.Content); err != nil {
			return err
		}
		return f.Sync()
	}
	show := newMoving(p, "fetching", c.Name, c.Size, "all is here")
	defer show.clear()
	if err := node.GetBlob(p.ctx, c.SHA256, c.Size, f, show.moved); err != nil {
		return fmt.Errorf("fetching %q: %w", c.Name, err)
	}
	return f.Sync()
}

// move gives a file its place, where none is unless it may be replaced.
func (c *getCommand) move(from, to string) error {
	folder := filepath.Dir(to)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if err := place(from, to, c.Force); err != nil {
		return err
	}
	return wholefile.OS{}.SyncDir(folder)
}
