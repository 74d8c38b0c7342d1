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
	show := newUploading(p, f)
	defer show.clear()
	if err := node.PutBlob(p.ctx, f.file.Sum(), f.file.Size(), content, show.moved); err != nil {
		return fmt.Errorf("uploading %q: %w", f.name, err)
	}
	return nil
}

// uploading is one line on a terminal that tells how far a file has gone.
type uploading struct {
	w     io.Writer // nil: nobody looks on
	what  string
	all   int64
	shown int64 // of what has gone, when it was shown last
}

func newUploading(p *process, f large) *uploading {
	if !terminal.Of(p.stderr, p.env).Terminal {
		return &uploading{}
	}
	return &uploading{w: p.stderr, what: "uploading " + terminal.Clean(f.name), all: f.file.Size()}
}

func (u *uploading) moved(n int64) {
	switch {
	case u.w == nil:
	case n == u.all:
		io.WriteString(u.w, eraseLine+u.what+": the node keeps it")
		u.shown = n
	case n-u.shown >= showEvery:
		fmt.Fprintf(u.w, "%s%s: %s of %s", eraseLine, u.what, size(n), size(u.all))
		u.shown = n
	}
}

func (u *uploading) clear() {
	if u.w != nil && u.shown > 0 {
		io.WriteString(u.w, eraseLine)
	}
}
