package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/admin/client"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/internal/strictyaml"
	"github.com/ananas-edge/ananas/settings"
)

type getCommand struct {
	Key  string `arg:"" optional:"" help:"A key, as forward/corp.example, or a folder, as forward; without it all settings."`
	At   uint64 `placeholder:"N" help:"As it was at version N. Default: the last."`
	Held bool   `help:"As the node that is asked has it, with the change sets that it holds, in place of what is live."`
	JSON bool   `help:"Print keys and documents as JSON."`

	Files string `placeholder:"DIR" help:"Save it in this folder, as settings.yaml, with all files that it names: modules, lists, zones."`
	Force bool   `help:"With --files: replace files that are there with another content."`
	nodeFlags
}

// Help is printed below the usage.
func (getCommand) Help() string {
	return `A key is printed as its document. A folder is printed as the file that would make it: edit it and apply it again. Exit code 1 if there is neither.

Files that settings name are in the store, and what is printed has their names alone. --files saves all of it, so that ananas check and ananas apply take the folder's settings.yaml on another machine. Each file is held against its SHA-256. The folder is there when all of it is whole; one that is there already keeps its other files, gets settings.yaml last, and of its files none is replaced without --force. What the settings name outside of their folder, as /etc/hosts, is in the folder too, under another name.

Example:

  ananas get forward/corp.example
  ananas get forward > forward.yaml
  ananas get --at 41
  ananas get --files copy && ananas check copy/settings.yaml`
}

// Validate is called when all flags are read.
func (c *getCommand) Validate() error {
	if c.Held && c.At != 0 {
		return errors.New("--held and --at: what a node holds is known of the last version alone")
	}
	switch {
	case c.Files == "" && c.Force:
		return errors.New("--force is for --files: nothing is replaced otherwise")
	case c.Files != "" && c.JSON:
		return errors.New("--files and --json: what is saved are files of settings")
	case c.Files != "" && strings.HasPrefix(c.Key, "~"):
		return errors.New("--files is for settings: keys of the store's own are in no file")
	}
	return nil
}

// Run prints the setting.
func (c *getCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	key := strings.Trim(c.Key, "/")
	list, err := node.AllSettings(p.ctx, admin.SettingsQuery{Prefix: key, Version: c.At, Held: c.Held, System: strings.HasPrefix(key, "~")})
	if err != nil {
		return err
	}
	if len(list.Entries) == 0 && key != "" {
		return c.missing(p, node, key, list.Version)
	}
	if c.JSON {
		return p.printJSON(list)
	}
	docs := make(map[string][]byte, len(list.Entries))
	for _, e := range list.Entries {
		docs[e.Key] = []byte(e.Value)
	}
	head := ""
	if section, _, part := strings.Cut(key, "/"); part {
		head = fmt.Sprintf("# This is a part of the section %s: applied as it stands, it removes the rest of that.\n", terminal.Clean(section))
	}
	if c.Files != "" {
		return c.saveFiles(p, node, list, docs, head)
	}
	return p.print(func(w io.Writer) error {
		if len(list.Entries) == 1 && list.Entries[0].Key == key {
			_, err := io.WriteString(w, lined(shown(p, list.Entries[0].Value)))
			return err
		}
		if strings.HasPrefix(key, "~") { // no settings, so that no file has them
			for _, e := range list.Entries {
				if _, err := fmt.Fprintf(w, "%s: %s", shown(p, e.Key), lined(shown(p, e.Value))); err != nil {
					return err
				}
			}
			return nil
		}
		_, err := io.WriteString(w, head+shown(p, string(settings.Text(docs))))
		return err
	})
}

// missing is the error of a key that is not there. What is near is looked for.
func (c *getCommand) missing(p *process, node *client.Client, key string, version uint64) error {
	err := fmt.Errorf("there is no setting %q at version %d", key, version)
	all, listErr := node.AllSettings(p.ctx, admin.SettingsQuery{Version: c.At, Held: c.Held})
	if listErr != nil {
		return err // the hint alone is lost
	}
	known := map[string]bool{}
	for _, e := range all.Entries {
		for folder := e.Key; folder != ""; {
			known[folder] = true
			i := strings.LastIndexByte(folder, '/')
			folder = folder[:max(i, 0)]
		}
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	if near := strictyaml.Nearest(key, names); near != "" {
		return hinted{err, "did you mean " + near + "?"}
	}
	return hinted{err, "ananas ls lists what is set; what is not set has its default, which docs/settings.md tells"}
}

// shown is text from a node as it is printed: as it is for a program, harmless on a terminal.
func shown(p *process, text string) string {
	if terminal.Of(p.stdout, p.env).Terminal {
		return terminal.Clean(text)
	}
	return text
}

// lined ends a text with the end of a line.
func lined(text string) string {
	if strings.HasSuffix(text, "\n") {
		return text
	}
	return text + "\n"
}

type lsCommand struct {
	Prefix string `arg:"" optional:"" help:"A folder, as forward; without it everything."`
	At     uint64 `placeholder:"N" help:"As it was at version N. Default: the last."`
	Held   bool   `help:"As the node that is asked has it, with the change sets that it holds, in place of what is live."`
	System bool   `help:"The store's own keys too: nodes, tokens, rollouts."`
	JSON   bool   `help:"Print keys and documents as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (lsCommand) Help() string {
	return `A line for each key, with the beginning of its document. What is not listed has its default.

Example:

  ananas ls
  ananas ls recursion/limits --at 41`
}

// Validate is called when all flags are read.
func (c *lsCommand) Validate() error {
	if c.Held && c.At != 0 {
		return errors.New("--held and --at: what a node holds is known of the last version alone")
	}
	return nil
}

// Run prints the list.
func (c *lsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	prefix := strings.Trim(c.Prefix, "/")
	list, err := node.AllSettings(p.ctx, admin.SettingsQuery{Prefix: prefix, Version: c.At, Held: c.Held, System: c.System || strings.HasPrefix(prefix, "~")})
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(list)
	}
	screen := terminal.Of(p.stdout, p.env)
	return p.print(func(w io.Writer) error {
		if len(list.Entries) == 0 {
			_, err := fmt.Fprintf(w, "nothing is set%s at version %d\n", belowText(prefix), list.Version)
			return err
		}
		wide := 0
		for _, e := range list.Entries {
			wide = max(wide, terminal.Columns(terminal.Clean(e.Key)))
		}
		for _, e := range list.Entries {
			key := terminal.Clean(e.Key)
			room := 0
			if screen.Width > 0 {
				room = max(screen.Width-wide-2, 20)
			}
			line := key + strings.Repeat(" ", wide-terminal.Columns(key)) + "  " + terminal.Cut(brief(e.Value), room)
			if _, err := fmt.Fprintln(w, strings.TrimRight(line, " ")); err != nil {
				return err
			}
		}
		foot := count(len(list.Entries), "key", "keys") + ", version " + thousands(list.Version)
		if len(list.Sets) > 0 {
			foot += " with " + strings.Join(list.Sets, ", ")
		}
		_, err := fmt.Fprintf(w, "\n%s\n", terminal.Clean(foot))
		return err
	})
}

func belowText(prefix string) string {
	if prefix == "" {
		return ""
	}
	return " below " + terminal.Clean(prefix)
}

// brief is a document in one line.
func brief(doc string) string {
	lines := strings.Split(strings.TrimRight(doc, "\n"), "\n")
	first := terminal.Clean(lines[0])
	if len(lines) > 1 {
		first += fmt.Sprintf(" ... (%d lines)", len(lines))
	}
	return first
}
