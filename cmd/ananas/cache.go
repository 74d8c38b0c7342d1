package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
	"github.com/ananas-edge/ananas/dns"
)

type cacheCommands struct {
	Ls    cacheLsCommand    `cmd:"" help:"List what is cached."`
	Purge cachePurgeCommand `cmd:"" help:"Take a name out of the cache."`
}

// Help is printed below the usage.
func (cacheCommands) Help() string {
	return `Example:

  ananas cache ls www.example.com
  ananas cache purge www.example.com`
}

type cacheLsCommand struct {
	Name    *dns.Name `arg:"" optional:"" help:"List this name alone; without it everything."`
	Subtree bool      `help:"The names below as well."`
	Limit   *int      `placeholder:"N" help:"List N entries at most. Default: 100."`
	JSON    bool      `help:"Print the entries as JSON, with their records."`
	nodeFlags
}

// Help is printed below the usage.
func (cacheLsCommand) Help() string {
	return `A TTL is the seconds that are left; what has expired is kept for a while, to be served when nothing newer can be had. The rank says from which part of which reply an entry comes (RFC 2181 section 5.4.1). The records of a name are shown if it is listed alone.

Example:

  ananas cache ls example.com --subtree`
}

// Validate is called when all flags are read.
func (c *cacheLsCommand) Validate() error {
	return within("--limit", c.Limit, admin.MaxCacheLimit)
}

// Run prints the table.
func (c *cacheLsCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	q := admin.CacheQuery{Name: dns.Root, Subtree: true}
	if c.Limit != nil {
		q.Limit = *c.Limit
	}
	if c.Name != nil {
		q.Name, q.Subtree = *c.Name, c.Subtree
	}
	list, err := node.ListCache(p.ctx, q)
	if err != nil {
		return err
	}
	if c.JSON {
		return p.printJSON(list)
	}
	return p.print(func(w io.Writer) error {
		if len(list.Entries) == 0 {
			_, err := fmt.Fprintf(w, "nothing is cached %s\n", where(q.Name, q.Subtree))
			return err
		}
		if err := cacheTable(list.Entries, !q.Subtree).Write(w); err != nil {
			return err
		}
		total := 0
		for _, e := range list.Entries {
			total += e.Bytes
		}
		foot := fmt.Sprintf("%s, %s", count(len(list.Entries), "entry", "entries"), size(int64(total)))
		if list.More {
			foot += fmt.Sprintf("; there are more, --limit shows up to %d", admin.MaxCacheLimit)
		}
		_, err := fmt.Fprintf(w, "\n%s\n", foot)
		return err
	})
}

// where says which part of the cache is meant.
func where(name dns.Name, subtree bool) string {
	switch {
	case !subtree:
		return "at " + name.String()
	case name.IsRoot():
		return "at all"
	}
	return "at " + name.String() + " and below"
}

// cacheTable has the names of a zone beside each other, as a zone file would.
func cacheTable(entries []admin.CacheEntry, records bool) *terminal.Table {
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b admin.CacheEntry) int {
		m, errA := dns.ParseName(a.Name)
		n, errB := dns.ParseName(b.Name)
		if errA != nil || errB != nil { // of a node that writes names otherwise
			return strings.Compare(a.Name, b.Name)
		}
		return m.Compare(n)
	})
	t := &terminal.Table{Head: []string{"NAME", "TYPE", " TTL", "KIND", "RANK", "SECURITY", " SIZE"}, Notes: map[int][]string{}}
	for i, e := range entries {
		ttl := strconv.FormatInt(e.TTL, 10)
		if e.TTL < 0 {
			ttl = fmt.Sprintf("expired %d", -e.TTL)
		}
		bytes := ""
		if e.Bytes > 0 {
			bytes = size(int64(e.Bytes))
		}
		t.Rows = append(t.Rows, []string{e.Name, dash(e.Type), ttl, e.Kind, dash(e.Rank), dash(e.Security), dash(bytes)})
		if records {
			t.Notes[i] = e.Records
		}
	}
	return t
}

// dash stands for what an entry does not have, so that columns can be counted.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type cachePurgeCommand struct {
	Name    dns.Name `arg:"" help:"The name to take out."`
	Subtree bool     `help:"The names below as well."`
	JSON    bool     `help:"Print what was removed as JSON."`
	nodeFlags
}

// Help is printed below the usage.
func (cachePurgeCommand) Help() string {
	return `All that is remembered of the name goes: records of every type, denials, delegations and failures. The node looks again afterwards, and what it was resolving before can't bring the old data back.

Example:

  ananas cache purge example.com --subtree`
}

// Run purges, and says what was removed and whether it is gone.
func (c *cachePurgeCommand) Run(p *process) error {
	node, err := c.open(p)
	if err != nil {
		return err
	}
	defer node.Close()
	done, err := node.Purge(p.ctx, admin.Purge{Name: c.Name, Subtree: c.Subtree})
	if err != nil {
		return err
	}
	if c.JSON {
		err = p.printJSON(done)
	} else {
		err = p.print(func(w io.Writer) error {
			_, err := io.WriteString(w, purged(c.Name, c.Subtree, done))
			return err
		})
	}
	if err == nil && done.Left > 0 {
		err = &leftError{c.Name, c.Subtree, done.Left}
	}
	return err
}

// purged says what a purge did.
func purged(name dns.Name, subtree bool, done admin.Purged) string {
	if done.Removed == 0 && done.Left == 0 {
		text := "nothing was cached " + where(name, subtree) + "\n"
		if !subtree {
			text += "names below it are left alone without --subtree\n"
		}
		return text
	}
	text := fmt.Sprintf("removed %s ", count(done.Removed, "entry", "entries"))
	if name.IsRoot() && subtree {
		text += "in all"
	} else {
		text += where(name, subtree)
	}
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(done.Kinds)) {
		if n := done.Kinds[kind]; n > 0 {
			kinds = append(kinds, count(n, terminal.Clean(kind), terminal.Clean(kind)+"s"))
		}
	}
	if len(kinds) > 0 {
		text += ": " + strings.Join(kinds, ", ")
	}
	text += "\n"
	if done.Left == 0 {
		text += "looked again: it is gone\n"
	}
	return text
}

// leftError is a purge after which something was found again.
type leftError struct {
	name    dns.Name
	subtree bool
	left    int
}

func (e *leftError) Error() string {
	return fmt.Sprintf("purging the cache %s: %s found again afterwards", where(e.name, e.subtree), count(e.left, "entry was", "entries were"))
}

// Hint says what to do.
func (e *leftError) Hint() string {
	return "that is a fault of the node: please report it; a restart empties the whole cache"
}
