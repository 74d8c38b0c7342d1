package identity

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/ananas-edge/ananas/store"
)

// AccessRule says what nodes with some labels read.
type AccessRule struct {
	// Labels chooses the nodes that have all of these, with these values. None chooses every node.
	Labels Labels `json:"labels,omitempty" yaml:"labels"`

	// Read lists keys and folders of the settings: "forward" is that key and all below it. "*" alone is all settings. A node that several rules choose reads what any of
	// them names; one that no rule chooses reads all settings.
	Read []string `json:"read" yaml:"read"`
}

// Everything in Read stands for all settings.
const Everything = "*"

// Access is who reads what, as the document [store.AccessKey] says. It is immutable.
type Access struct{ rules []AccessRule }

// Rules returns the rules, in their order. They must not be changed.
func (a *Access) Rules() []AccessRule { return a.rules }

// MaxRules is how many rules there may be: each costs every node that connects a comparison of labels.
const MaxRules = 256

// ParseAccess reads the document. It takes nothing that it does not know: a rule that is half understood would show what it is to hide.
func ParseAccess(doc []byte) (*Access, error) {
	var t struct {
		Rules []AccessRule `json:"rules"`
	}
	err := func() error {
		if len(doc) > store.MaxValue {
			return fmt.Errorf("it has %d octets, more than %d", len(doc), store.MaxValue)
		}
		d := json.NewDecoder(bytes.NewReader(doc))
		d.DisallowUnknownFields()
		if err := d.Decode(&t); err != nil {
			return err
		}
		if _, err := d.Token(); err != io.EOF {
			return errors.New("something follows it")
		}
		if t.Rules == nil {
			return wrong("write [] where everybody is to read all settings", "it has no rules")
		}
		return checkRules(t.Rules)
	}()
	if err != nil {
		return nil, fmt.Errorf("reading who reads what: %w", err)
	}
	return &Access{t.Rules}, nil
}

// EncodeAccess writes the document.
func EncodeAccess(rules []AccessRule) ([]byte, error) {
	if err := checkRules(rules); err != nil {
		return nil, err
	}
	return encode(map[string]any{"rules": append([]AccessRule{}, rules...)}), nil
}

func checkRules(rules []AccessRule) error {
	if len(rules) > MaxRules {
		return fmt.Errorf("there are %d rules, more than %d", len(rules), MaxRules)
	}
	for i, r := range rules {
		if err := r.Labels.check(); err != nil {
			return fmt.Errorf("rules[%d]: %w", i, err)
		}
		if r.Read == nil {
			return wrong("write read: [] where they are to read nothing", "rules[%d]: it does not say what is read", i)
		}
		for _, prefix := range r.Read {
			if prefix == Everything {
				continue
			}
			if err := store.CheckKey(prefix); err != nil {
				return wrong("name folders as `ananas ls` shows them, without a slash at the end", "rules[%d]: %w", i, err)
			}
			if !store.IsSetting(prefix) {
				return wrong("remove it; what a node needs of the store's own keys it reads anyway", "rules[%d]: %q is no setting", i, prefix)
			}
		}
	}
	return nil
}

// AccessIn reads the document of a view. Without one everybody reads all settings. After an error nothing may be sent to anybody but members of the root: neither
// what the rules hid, nor a view without it, which would take settings away from nodes that serve with them.
func AccessIn(view store.Map) (*Access, error) {
	doc, ok := view.Get(store.AccessKey)
	if !ok {
		return &Access{}, nil
	}
	a, err := ParseAccess(doc)
	if err != nil {
		return nil, wrong("mend it with `ananas apply`, on a member of the root", "%q: %w", store.AccessKey, err)
	}
	return a, nil
}

// Reader is what one peer may read. It is immutable, and any number of goroutines may use it.
type Reader struct {
	root, all bool
	prefixes  map[string]struct{} // keys and folders, none below another
	longest   int                 // of them, in octets
	sum       [sha256.Size]byte
}

// For returns what a peer may read.
func (a *Access) For(p Peer) *Reader {
	r := &Reader{root: p.Role == Root}
	matched := false
	var read []string
	for i := range a.rules {
		if p.Labels.Has(a.rules[i].Labels) {
			matched = true
			read = append(read, a.rules[i].Read...)
		}
	}
	r.all = r.root || !matched || slices.Contains(read, Everything)
	if !r.all {
		slices.Sort(read)
		r.prefixes = make(map[string]struct{}, len(read))
		for _, prefix := range read {
			if !r.under(prefix) { // a folder comes before what is in it
				r.prefixes[prefix] = struct{}{}
				r.longest = max(r.longest, len(prefix))
			}
		}
	}
	r.sum = r.fingerprint()
	return r
}

// Readable tells whether the peer may read a key.
func (r *Reader) Readable(key string) bool {
	if store.IsSetting(key) {
		return r.all || r.under(key)
	}
	if r.root {
		return true
	}
	if _, setting, ok := store.SplitSet(key); ok {
		return store.IsSetting(setting) && (r.all || r.under(setting))
	}
	// What is not listed here, keys of later releases too, is for members of the root.
	return strings.HasPrefix(key, store.NodePrefix) || strings.HasPrefix(key, store.RolloutPrefix) || key == store.AccessKey
}

// under tells whether key is one of the prefixes, or below one.
func (r *Reader) under(key string) bool {
	for i := 0; i < len(key) && i <= r.longest; i++ {
		if key[i] == '/' {
			if _, ok := r.prefixes[key[:i]]; ok {
				return true
			}
		}
	}
	if len(key) > r.longest {
		return false
	}
	_, ok := r.prefixes[key]
	return ok
}

// Whole tells whether the peer reads all settings. Only such a one can be a source for others.
func (r *Reader) Whole() bool { return r.all }

// Fingerprint is the same for what reads the same. If it changes, by a commit that changed rules or labels, the peer needs a snapshot: keys that were
// hidden are to be shown, or the other way round.
func (r *Reader) Fingerprint() [sha256.Size]byte { return r.sum }

func (r *Reader) fingerprint() (sum [sha256.Size]byte) {
	h := sha256.New()
	fmt.Fprintf(h, "ananas access 1\n%t %t\n", r.root, r.all)
	prefixes := make([]string, 0, len(r.prefixes))
	for prefix := range r.prefixes {
		prefixes = append(prefixes, prefix)
	}
	slices.Sort(prefixes)
	for _, prefix := range prefixes {
		fmt.Fprintf(h, "%d %s\n", len(prefix), prefix)
	}
	h.Sum(sum[:0])
	return sum
}
