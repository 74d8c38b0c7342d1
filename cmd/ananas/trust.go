package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/cmd/ananas/terminal"
)

// maxAnchors is how many zones with trust anchors are shown, and how many with negative ones; --json lists them all.
const maxAnchors = 5

// anchors writes the trust anchors: a line for each zone, and one more where there is trouble. That there are none is said, for then nothing is validated.
func anchors(row rowFunc, now time.Time, zones []admin.TrustAnchorStatus) {
	word := "anchors"
	if len(zones) == 0 {
		row(word, "none: nothing is validated (recursion.trust_anchors: none)", terminal.Yellow)
	}
	for i := range zones {
		if i == maxAnchors {
			row("", "and "+count(len(zones)-maxAnchors, "zone more", "zones more"), terminal.Plain)
			break
		}
		z := &zones[i]
		row(word, z.Zone+" "+anchorKeys(now, z.Keys)+anchorTimes(now, z), terminal.Plain)
		if z.Error != "" {
			row("", "the last look at the keys of "+z.Zone+": "+z.Error, terminal.Yellow)
		}
		word = ""
	}
}

// anchorKeys says what is known of the keys of a zone, with an algorithm where it is another one than before. Those that are long gone are left out.
func anchorKeys(now time.Time, keys []admin.TrustKeyStatus) string {
	var all []string
	algorithm, from := "", ""
	for _, k := range keys {
		text := fmt.Sprintf("%d %s", k.Tag, k.State)
		switch k.State {
		case "removed":
			continue
		case "addpend":
			text = fmt.Sprintf("%d pending for another %s", k.Tag, ago(time.Duration(k.Left)*time.Second))
		case "missing":
			text += " for " + ago(now.Sub(k.Since))
		case "revoked":
			text += " " + ago(now.Sub(k.Since)) + " ago"
		case admin.KeyUnseen:
			text = fmt.Sprintf("%d not seen yet", k.Tag)
		case admin.KeyFixed:
			text = fmt.Sprint(k.Tag)
		}
		if k.From == admin.FromZone {
			text += " (followed)"
		} else {
			from = k.From // the same for all of them
		}
		if k.Algorithm != algorithm {
			algorithm = k.Algorithm
			text = algorithm + " " + text
		}
		all = append(all, text)
	}
	switch from {
	case "":
	case admin.FromSettings:
		from = ", from the settings"
	default:
		from = ", " + from
	}
	if len(all) == 0 {
		return "no key is trusted"
	}
	return strings.Join(all, ", ") + from
}

func anchorTimes(now time.Time, z *admin.TrustAnchorStatus) string {
	text := ""
	switch {
	case !z.Updated:
		return "; not kept up to date"
	case !z.Seen.IsZero():
		text = "; seen " + ago(now.Sub(z.Seen)) + " ago"
	}
	if !z.Next.IsZero() {
		text += "; asked for in " + ago(z.Next.Sub(now))
	}
	return text
}

// negative writes the zones that are not validated. One whose time is over is not what somebody meant to last.
func negative(row rowFunc, now time.Time, zones []admin.NegativeAnchorStatus) {
	word := "negative"
	for i, z := range zones {
		if i == maxAnchors {
			row("", "and "+count(len(zones)-maxAnchors, "zone more", "zones more"), terminal.Plain)
			break
		}
		switch {
		case z.Ended:
			row(word, z.Zone+" ended "+ago(now.Sub(z.Until))+" ago, and is validated again: remove it from recursion.negative_trust_anchors", terminal.Yellow)
		case z.Until.IsZero():
			row(word, z.Zone+" is not validated; it has no end", terminal.Plain)
		default:
			row(word, z.Zone+" is not validated for another "+ago(z.Until.Sub(now))+", until "+z.Until.UTC().Format(time.RFC3339), terminal.Plain)
		}
		word = ""
	}
}

// localRoot writes how the copy of the root zone is; nothing if it is off.
func localRoot(row rowFunc, now time.Time, r admin.LocalRootStatus) {
	const word = "local root"
	switch r.State {
	case "off", "":
		return
	case "empty":
		row(word, "there is no copy of the root yet: the root servers are asked"+nextLook(now, r), terminal.Yellow)
	case "expired":
		row(word, fmt.Sprintf("serial %d of %s is too old to be used: the root servers are asked%s%s", r.Serial, r.Source, current(now, r), nextLook(now, r)), terminal.Red)
	default:
		row(word, fmt.Sprintf("serial %d of %s, %s%s%s", r.Serial, r.Source, worth(r), current(now, r), nextLook(now, r)), terminal.Plain)
	}
	if r.Error != "" {
		row("", "the last look: "+r.Error, terminal.Yellow)
	}
	if r.State == "serving" && (r.Error != "" || r.Next.IsZero()) && !r.Expires.IsZero() {
		row("", "it is used for another "+ago(r.Expires.Sub(now)), terminal.Yellow)
	}
	if r.Warning != "" {
		row("", r.Warning, terminal.Yellow)
	}
}

// worth says what was proved of the copy.
func worth(r admin.LocalRootStatus) string {
	switch {
	case r.Signed && r.Digest:
		return "verified by its keys and its digest (ZONEMD)"
	case r.Signed:
		return "verified by its keys, without a digest"
	case r.Digest:
		return "its digest (ZONEMD) fits, not signed"
	}
	return "not verified"
}

func current(now time.Time, r admin.LocalRootStatus) string {
	if r.Confirmed.IsZero() {
		return "; nobody knows how old it is"
	}
	return "; current " + ago(now.Sub(r.Confirmed)) + " ago"
}

func nextLook(now time.Time, r admin.LocalRootStatus) string {
	if r.Next.IsZero() {
		return ""
	}
	return "; next look in " + ago(r.Next.Sub(now))
}
