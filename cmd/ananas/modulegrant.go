package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/nameserver/plugin"
	"github.com/ananas-edge/ananas/wasm"
)

// grantAll among what is granted is all that the manifest needs, beside what the plugin has already.
const grantAll = "all"

// granted is what a plugin has from now on that had what have says: what --grant says, else also what the manifest needs.
func (c *modulePushCommand) granted(have []string, m *wasm.Manifest) []string {
	if c.Grant != nil && !slices.Contains(c.Grant, grantAll) {
		return c.Grant
	}
	all := slices.Clone(have)
	for _, one := range slices.Concat(c.Grant, m.Needs) {
		if one != grantAll && !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	return all
}

// seen tells that somebody has said what the module is granted, or is shown it before it is.
func (c *modulePushCommand) seen() bool { return c.Grant != nil || !c.Yes || c.DryRun }

// ungranted is the error for a module that needs what its plugins do not have, where nobody is asked. had is what each has.
func (c *modulePushCommand) ungranted(p *process, name string, m *wasm.Manifest, had [][]string) error {
	var lacks, words, flags []string
	alike := true
	for _, have := range had {
		alike = alike && slices.Equal(have, had[0])
		for _, need := range m.Needs {
			if !slices.Contains(have, need) && !slices.Contains(lacks, need) {
				lacks = append(lacks, need)
				words = append(words, fmt.Sprintf("%s (%s)", need, plugin.CapabilityText(need)))
			}
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	for _, one := range slices.Concat(had[0], lacks) {
		flags = append(flags, "--grant "+shellWord(one))
	}
	command := p.commandLine()
	hint := fmt.Sprintf("if it may have that: %s --grant %s", command, grantAll)
	if alike {
		hint = fmt.Sprintf("if it may have that: %s %s (or --grant %s, which is all that it needs)", command, strings.Join(flags, " "), grantAll)
	}
	return usageError{fmt.Errorf("module %q needs what it is not granted yet, and --yes grants nothing: %s", name, strings.Join(words, ", ")), hint + "; without --yes it is shown, and asked for"}
}

// commandLine is what was typed, to be typed again.
func (p *process) commandLine() string {
	words := []string{"ananas"}
	for _, a := range p.args {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// shellWord writes a word so that a shell reads it as one.
func shellWord(s string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !plain(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
