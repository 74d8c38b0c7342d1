//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/dns"
)

// anchors is the file with the trust anchor of the signed zone.
func (b *bout) anchors() string { return filepath.Join(b.rig.Dir, "anchors") }

// sign signs a zone in its file, with one key of ECDSA P-256, and writes the anchor for it.
func (b *bout) sign(dir string, zone dns.Name) error {
	name := strings.TrimSuffix(zone.String(), ".")
	command := func(args ...string) (string, error) {
		c := exec.CommandContext(b.ctx, args[0], args[1:]...)
		c.Dir = dir
		var words bytes.Buffer
		c.Stderr = &words
		out, err := c.Output()
		if err != nil {
			return "", fmt.Errorf("signing %s: running %q: %w: %s", name, args, err, words.String())
		}
		return strings.TrimSpace(string(out)), nil
	}
	key, err := command("dnssec-keygen", "-a", "ECDSAP256SHA256", "-f", "KSK", name)
	if err != nil {
		return err
	}
	// One key for all, no check of what was just made, and the signed text in place of the other.
	if _, err := command("dnssec-signzone", "-P", "-z", "-S", "-o", name, "-e", "now+30d", "-f", name+".signed", name+".zone"); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(dir, name+".signed"), filepath.Join(dir, name+".zone")); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, key+".key"))
	if err != nil {
		return err
	}
	return os.WriteFile(b.anchors(), text, 0o644)
}

// awaitAuthority waits until NSD has read its zones and answers.
func (b *bout) awaitAuthority(zone dns.Name) error {
	ns, err := zone.Child("ns")
	if err != nil {
		return err
	}
	last := errors.New("it was not asked")
	for until := time.Now().Add(time.Minute); time.Now().Before(until) && !b.nsd.Ended(); {
		if last = answers(authority, ns); last == nil {
			return nil
		}
		if err := b.rig.Sleep(100 * time.Millisecond); err != nil {
			return err
		}
	}
	return fmt.Errorf("starting NSD: %w; it said: %s", last, b.nsd.LastWords())
}
