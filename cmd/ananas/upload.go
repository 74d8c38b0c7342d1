package main

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/internal/namedfile"
)

// maxBeside is how much of the files that settings name travels with them in one request, in octets: what is more is put there as blobs before.
const maxBeside = 1 << 20

// large is a file that is put there as a blob before the settings that name it are applied.
type large struct {
	name string
	file *namedfile.File
}

// upload puts files there that the node does not have yet. What no version names in a day is removed there.
func upload(p *process, node *client.Client, files []large) error {
	for _, f := range files {
		has, err := node.HasBlob(p.ctx, f.file.Sum())
		if err != nil {
			return err
		}
		if has {
			continue
		}
		if err := uploadOne(p, node, f); err != nil {
			return err
		}
	}
	return nil
}

// uploadLarge puts the contents there that a file of settings has with it, and that are too large to travel with it.
func uploadLarge(p *process, node *client.Client, s *admin.SettingsFile) error {
	for name, content := range s.Named {
		if len(content) <= maxBeside {
			continue
		}
		f := namedfile.Of(content)
		if err := upload(p, node, []large{{name, f}}); err != nil {
			return err
		}
		sum := f.Sum()
		if s.Blobs == nil {
			s.Blobs = make(map[string]admin.Blob)
		}
		s.Blobs[name] = admin.Blob{SHA256: hex.EncodeToString(sum[:]), Size: f.Size()}
		delete(s.Named, name)
	}
	return nil
}

func uploadOne(p *process, node *client.Client, f large) error {
	content, err := f.file.Open()
	if err != nil {
		return fileFault(err)
	}
	defer content.Close()
	show := newMoving(p, "uploading", f.name, f.file.Size(), "the node keeps it")
	defer show.clear()
	if err := node.PutBlob(p.ctx, f.file.Sum(), f.file.Size(), content, show.moved); err != nil {
		return fmt.Errorf("uploading %q: %w", f.name, err)
	}
	return nil
}

// moving is one line on a terminal that tells how far a file has gone.
type moving struct {
	w     io.Writer // nil: nobody looks on
	what  string
	all   int64
	then  string // what is so when all has gone
	shown int64  // of what has gone, when it was shown last
}

func newMoving(p *process, verb, name string, all int64, then string) *moving {
	if !terminal.Of(p.stderr, p.env).Terminal {
		return &moving{}
	}
	return &moving{w: p.stderr, what: verb + " " + terminal.Clean(name), all: all, then: then}
}

func (m *moving) moved(n int64) {
	switch {
	case m.w == nil:
	case n == m.all:
		io.WriteString(m.w, eraseLine+m.what+": "+m.then)
		m.shown = n
	case n-m.shown >= showEvery:
		fmt.Fprintf(m.w, "%s%s: %s of %s", eraseLine, m.what, size(n), size(m.all))
		m.shown = n
	}
}

func (m *moving) clear() {
	if m.w != nil && m.shown > 0 {
		io.WriteString(m.w, eraseLine)
	}
}
