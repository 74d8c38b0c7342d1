package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/settings"
)

type applyCommand struct {
	Files []string `arg:"" name:"file" help:"Files of settings, as a node has them; what they name travels with them. - is standard input."`
	changeFlags
	nodeFlags
}

// Help is printed below the usage.
func (applyCommand) Help() string {
	return `Each section that a file names becomes equal to it: what it has no entry for is removed. Sections that no file names stay as they are. The difference is shown, and nothing happens without a yes.

The change reaches a few nodes first, then more, and each wave is watched; a change that does harm is withdrawn by itself. That is shown until it ends, with what a gate waits for, and which version is live then: exit code 0 if the change is live, 1 if it was withdrawn or paused. Interrupting the command leaves the rollout going.

Example:

  ananas apply forward.yaml
  ananas apply ananas.yaml --dry-run
  ananas get forward | sed s/192.0.2.1/192.0.2.2/ | ananas apply - --yes
  ananas apply forward.yaml --yes --now --reason "the old servers are gone"`
}

// Validate is called when all flags are read.
func (c *applyCommand) Validate() error {
	if slices.Contains(c.Files, standardInput) && !c.Yes && !c.DryRun {
		return errors.New("standard input has the settings, so that nobody can be asked: look at it with --dry-run, then add --yes")
	}
	return c.check()
}

// Run applies the files.
func (c *applyCommand) Run(p *process) error {
	files, larges, err := readSettings(p, c.Files)
	if err != nil {
		return err
	}
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	if err := upload(p, node, larges); err != nil {
		return err
	}
	a := admin.Apply{Files: files, Reason: c.Reason, Author: author(p), Now: c.Now, Shrink: c.Shrink}
	return c.change(p, node, "Apply?", func(ctx context.Context, dry bool, confirm string) (admin.Applied, error) {
		a.Dry, a.Confirm = dry, confirm
		return node.Apply(ctx, a)
	})
}

// readSettings reads files and the files that those name. What is wrong with one of them is told here, with its line, as far as it can be seen without the settings
// that are there. A file that is named [standardInput] is that; what it names is looked for from this folder. What they name and is too large to travel with them is to be uploaded before.
func readSettings(p *process, names []string) (out []admin.SettingsFile, larges []large, err error) {
	total, beside := 0, int64(0)
	for i, name := range names {
		var text []byte
		var err error
		switch {
		case name != standardInput:
			text, err = readFile(name, admin.MaxApplyText)
		case slices.Contains(names[:i], name):
			err = errors.New("standard input is named twice")
		default:
			name = "standard input"
			text, err = readInput(p.stdin, admin.MaxApplyText)
		}
		if err != nil {
			return nil, nil, err
		}
		f, err := settings.ParseApply(name, text, nil)
		if err != nil {
			return nil, nil, err
		}
		if !f.HasSettings() {
			return nil, nil, hinted{fmt.Errorf("%s has no part settings", name), "write what is to be set below settings:, as in the file of a node"}
		}
		one := admin.SettingsFile{Name: name, Text: string(text), Named: map[string][]byte{}}
		files := make(map[string]*namedfile.File)
		for _, named := range f.NamedFiles() {
			if files[named], err = readNamed(f.Path(named), f.MostOf(named)); err != nil {
				return nil, nil, fmt.Errorf("%s names a file: %w", name, err)
			}
			if beside+files[named].Size() > maxBeside {
				sum := files[named].Sum()
				if one.Blobs == nil {
					one.Blobs = make(map[string]admin.Blob)
				}
				one.Blobs[named] = admin.Blob{SHA256: hex.EncodeToString(sum[:]), Size: files[named].Size()}
				larges = append(larges, large{named, files[named]})
				continue
			}
			content, err := files[named].Read()
			if err != nil {
				return nil, nil, fmt.Errorf("%s names a file: reading %q: %w", name, named, err)
			}
			one.Named[named] = content
			beside += int64(len(content))
		}
		if total += len(text); total > admin.MaxApplyText {
			return nil, nil, hinted{fmt.Errorf("the files are larger than %s together", size(admin.MaxApplyText)), "apply them one after the other"}
		}
		// Again, with what it names: then names that are there twice are found here.
		if f, err = settings.ParseApply(name, text, files); err == nil {
			_, err = f.Entries()
		}
		if err != nil {
			return nil, nil, err
		}
		out = append(out, one)
	}
	return out, larges, nil
}

// readNamed returns a file that settings name, of at most so many octets.
func readNamed(path string, most int64) (*namedfile.File, error) {
	var none *namedfile.Disk // nothing is read twice
	f, err := none.Read(path, most)
	var large *namedfile.TooLargeError
	if errors.As(err, &large) {
		return nil, hinted{fmt.Errorf("reading %w", large), large.Hint()}
	}
	return f, fileFault(err)
}

// standardInput is the name that stands for standard input.
const standardInput = "-"

// readInput reads standard input, at most so many octets.
func readInput(in io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it has more than %s", size(most))
	}
	if err != nil {
		return nil, fmt.Errorf("reading standard input: %w", err)
	}
	return text, nil
}

// readFile reads a file of at most so many octets.
func readFile(name string, most int64) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > most {
		err = hinted{fmt.Errorf("reading %q: it is larger than %s", name, size(most)), "is it the right file?"}
	}
	if err != nil {
		return nil, fileFault(err)
	}
	text, err := os.ReadFile(name)
	return text, fileFault(err)
}

// fileFault says what to do about a file that can't be read.
func fileFault(err error) error {
	var path *os.PathError
	switch {
	case errors.As(err, &path) && errors.Is(err, os.ErrNotExist):
		return hinted{fmt.Errorf("reading %q: %w", path.Path, path.Err), "is the name right? it is looked for from this folder"}
	case errors.As(err, &path):
		return fmt.Errorf("reading %q: %w", path.Path, path.Err)
	}
	return err
}
