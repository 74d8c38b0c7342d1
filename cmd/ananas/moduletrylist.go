package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/internal/namedfile"
	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/nameserver/plugin/trial"
)

// triedLists are lists to try, NAME=FILE each: files by the names of data sets.
type triedLists map[string]string

// Decode takes one more.
func (l triedLists) Decode(ctx *kong.DecodeContext) error {
	var text string
	if err := ctx.Scan.PopValueInto("NAME=FILE", &text); err != nil {
		return err
	}
	name, file, ok := strings.Cut(text, "=")
	if !ok || name == "" || file == "" {
		return hinted{fmt.Errorf("%q names no list", text), "write NAME=FILE: the name of a data set of the settings, and the file to try in its place"}
	}
	if _, twice := l[name]; twice {
		return hinted{fmt.Errorf("the list %s is given twice", name), "give it once"}
	}
	l[name] = file
	return nil
}

// read reads the lists to their digests, which the request names.
func (l triedLists) read(r *trial.Request) (all []large, err error) {
	for _, name := range slices.Sorted(maps.Keys(l)) {
		file, err := (*namedfile.Disk)(nil).Read(l[name], plugin.MaxData)
		var tooLarge *namedfile.TooLargeError
		switch {
		case errors.As(err, &tooLarge):
			return nil, hinted{fmt.Errorf("the list %s: %w", name, err), "split it into several data sets"}
		case errors.Is(err, fs.ErrNotExist):
			return nil, fileFault(err)
		case err != nil:
			return nil, fmt.Errorf("the list %s: %w", name, fileFault(err))
		}
		if r.Lists == nil {
			r.Lists = make(map[string]trial.List)
		}
		sum := file.Sum()
		r.Lists[name] = trial.List{SHA256: hex.EncodeToString(sum[:]), File: l[name]}
		all = append(all, large{l[name], file})
	}
	return all, nil
}

// oneOf returns files by their digests.
func oneOf(files []large) func([32]byte) (*namedfile.File, error) {
	return func(sum [32]byte) (*namedfile.File, error) {
		for _, f := range files {
			if f.file.Sum() == sum {
				return f.file, nil
			}
		}
		return nil, fs.ErrNotExist
	}
}

// uploadTried puts lists there that are to be tried. Where no uploads are taken the node's word for that is about settings: what matters here is where else a list can be tried.
func uploadTried(p *process, node *client.Client, lists []large) error {
	err := upload(p, node, lists)
	var problem *admin.Problem
	if errors.As(err, &problem) && (problem.Type == admin.ProblemPrefix+"owner" || problem.Type == admin.ProblemPrefix+"missing") {
		return hinted{fmt.Errorf("the node at %s takes no lists to try: only a member of the root of a store keeps what is uploaded", node.Node()), "try the list with --dnstap and --config, which asks no node, or at a member of the root, with --node"}
	}
	return err
}
