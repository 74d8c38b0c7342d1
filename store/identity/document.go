package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/ananas-edge/ananas/store"
)

// fields is a document of the store, or a part of one, taken apart: an object in JSON. What this release does not know stays in it, so that a node of an
// older release that changes a document loses nothing of a newer one's.
type fields map[string]json.RawMessage

func parseFields(b []byte) (fields, error) {
	if len(b) > store.MaxValue {
		return nil, fmt.Errorf("it has %d octets, more than %d", len(b), store.MaxValue)
	}
	if trimmed := bytes.TrimLeft(b, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' {
		return nil, errors.New("it is no object in JSON")
	}
	var f fields
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, fmt.Errorf("it is no object in JSON: %w", err)
	}
	return f, nil
}

// take reads a field and removes it. One that is not there, or null, leaves into as it is.
func (f fields) take(name string, into any) error {
	raw, ok := f[name]
	if !ok {
		return nil
	}
	delete(f, name)
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("its %s: %w", name, err)
	}
	return nil
}

// takeTime reads a time, in the one form that put writes.
func (f fields) takeTime(name string, into *time.Time) error {
	var t time.Time
	if err := f.take(name, &t); err != nil {
		return err
	}
	if t.IsZero() {
		return nil
	}
	if t = t.UTC().Truncate(time.Microsecond); t.Year() < 1970 || t.Year() > 9998 {
		return fmt.Errorf("its %s: the year %d", name, t.Year())
	}
	*into = t
	return nil
}

// with returns a copy of f that has known as well, without what is empty.
func (f fields) with(known map[string]any) fields {
	out := maps.Clone(f)
	if out == nil {
		out = make(fields, len(known))
	}
	for name, value := range known {
		switch v := value.(type) {
		case time.Time:
			if v.IsZero() {
				continue
			}
			value = v.UTC().Truncate(time.Microsecond)
		case string:
			if v == "" {
				continue
			}
		case Role:
			if v == "" {
				continue
			}
		case Labels:
			if len(v) == 0 {
				continue
			}
		case Fingerprint:
			if v == (Fingerprint{}) {
				continue
			}
		case fields:
			if v == nil {
				continue
			}
		}
		out[name] = encode(value)
	}
	return out
}

// encode writes JSON in its one form: no spaces, names in order, nothing escaped that need not be.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("identity: %T can not be written: %v", v, err)) // texts, numbers and times of four digits' years can
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// edit returns the edit that puts a document at key, in place of what the view has there and of nothing else: of two that were prepared on the same
// view one is committed.
func edit(view store.View, key string, doc []byte) store.Edit {
	return store.Edit{Key: key, Value: doc, Delete: doc == nil, Old: at(view, key)}
}

func at(view store.View, key string) *store.Digest {
	var d store.Digest
	if e, ok := view.Entry(key); ok {
		d = store.DigestOf(key, e)
	}
	return &d
}

// first returns the first error there is: one line of one mistake.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
