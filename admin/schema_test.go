package admin

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"
)

// description is openapi.yaml as plain maps.
type description map[string]any

func readDescription(t *testing.T) description {
	t.Helper()
	text, err := os.ReadFile("openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d map[string]any // nested maps take the type of this one
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	noNulls(t, "openapi.yaml", d)
	return d
}

// noNulls finds keys without a value, which an unquoted comma in a description makes.
func noNulls(t *testing.T, where string, v any) {
	switch v := v.(type) {
	case nil:
		t.Errorf("%s has no value", where)
	case map[string]any:
		for k, member := range v {
			noNulls(t, where+"."+k, member)
		}
	case []any:
		for i, item := range v {
			noNulls(t, fmt.Sprintf("%s[%d]", where, i), item)
		}
	}
}

// at walks down the keys, through references.
func (d description) at(keys ...string) map[string]any {
	here := map[string]any(d)
	for _, k := range keys {
		next, ok := here[k].(map[string]any)
		if !ok {
			return nil
		}
		here = d.resolve(next)
	}
	return here
}

func (d description) resolve(node map[string]any) map[string]any {
	ref, ok := node["$ref"].(string)
	if !ok {
		return node
	}
	return d.at(strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
}

// conforms holds a value, as encoding/json decodes it, against a schema. It knows the part of JSON Schema that openapi.yaml
// uses, and takes any other keyword for a fault: one that is not understood is one that is not checked.
func (d description) conforms(schema map[string]any, v any) error {
	if schema == nil {
		return fmt.Errorf("no schema")
	}
	if _, ok := schema["$ref"]; ok {
		if len(schema) != 1 {
			return fmt.Errorf("a reference beside other keywords: %v", schema)
		}
		return d.conforms(d.resolve(schema), v)
	}
	for _, keyword := range slices.Sorted(maps.Keys(schema)) {
		if err := d.conformsTo(schema, keyword, schema[keyword], v); err != nil {
			return err
		}
	}
	return nil
}

func (d description) conformsTo(schema map[string]any, keyword string, arg, v any) error {
	switch keyword {
	case "description", "default":
	case "type":
		if got := jsonType(v); got != arg && (arg != "number" || got != "integer") {
			return fmt.Errorf("is of type %s, not %v", got, arg)
		}
	case "format":
		text, _ := v.(string)
		if arg != "date-time" {
			return fmt.Errorf("format %q is not checked", arg)
		}
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return fmt.Errorf("is no %s: %w", arg, err)
		}
	case "enum":
		if !slices.Contains(arg.([]any), v) {
			return fmt.Errorf("%v is none of %v", v, arg)
		}
	case "minimum", "maximum":
		if n, ok := v.(float64); ok && (keyword == "minimum" && n < float64(arg.(int)) || keyword == "maximum" && n > float64(arg.(int))) {
			return fmt.Errorf("%v is beyond the %s %v", n, keyword, arg)
		}
	case "items":
		list, _ := v.([]any)
		for i, item := range list {
			if err := d.conforms(arg.(map[string]any), item); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case "oneOf":
		var errs []string
		for _, s := range arg.([]any) {
			if err := d.conforms(s.(map[string]any), v); err != nil {
				errs = append(errs, err.Error())
			}
		}
		if len(errs) != len(arg.([]any))-1 {
			return fmt.Errorf("conforms to %d of oneOf: %q", len(arg.([]any))-len(errs), errs)
		}
	case "required":
		object, _ := v.(map[string]any)
		for _, name := range arg.([]any) {
			if _, ok := object[name.(string)]; !ok {
				return fmt.Errorf("lacks %q", name)
			}
		}
	case "properties":
		object, _ := v.(map[string]any)
		for name, s := range arg.(map[string]any) {
			if member, ok := object[name]; ok {
				if err := d.conforms(s.(map[string]any), member); err != nil {
					return fmt.Errorf(".%s: %w", name, err)
				}
			}
		}
	case "additionalProperties":
		object, _ := v.(map[string]any)
		known, _ := schema["properties"].(map[string]any)
		for name, member := range object {
			if _, ok := known[name]; ok {
				continue
			}
			s, ok := arg.(map[string]any)
			if !ok {
				return fmt.Errorf("has a member %q that is not described", name)
			}
			if err := d.conforms(s, member); err != nil {
				return fmt.Errorf(".%s: %w", name, err)
			}
		}
	default:
		return fmt.Errorf("the keyword %q is not checked", keyword)
	}
	return nil
}

func jsonType(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	case float64:
		if v == math.Trunc(v) {
			return "integer"
		}
		return "number"
	}
	return fmt.Sprintf("%T", v)
}

// A checker that lets anything pass would prove nothing.
func TestSchemaChecker(t *testing.T) {
	d := description{"components": map[string]any{"schemas": map[string]any{"Name": map[string]any{"type": "string"}}}}
	for _, c := range []struct {
		schema, value string // YAML and JSON
		want          string // part of the complaint; "": conforms
	}{
		{`{type: string}`, `"x"`, ""},
		{`{type: string}`, `1`, "is of type integer"},
		{`{type: integer}`, `1.5`, "is of type number"},
		{`{type: number}`, `1`, ""},
		{`{type: boolean}`, `null`, "is of type null"},
		{`{type: integer, minimum: 1}`, `0`, "beyond the minimum"},
		{`{type: integer, maximum: 1}`, `2`, "beyond the maximum"},
		{`{type: string, format: date-time}`, `"yesterday"`, "is no date-time"},
		{`{type: string, format: date-time}`, `"2026-03-01T12:00:00.5Z"`, ""},
		{`{type: string, format: uri}`, `"x"`, "not checked"},
		{`{type: string, pattern: x}`, `"x"`, `keyword "pattern" is not checked`},
		{`{enum: [a, b]}`, `"c"`, "none of"},
		{`{type: array, items: {type: string}}`, `["a", 1]`, "[1]: is of type integer"},
		{`{type: object, required: [a]}`, `{}`, `lacks "a"`},
		{`{type: object, properties: {a: {type: string}}}`, `{"a": 1}`, ".a: is of type integer"},
		{`{type: object, properties: {a: {type: string}}, additionalProperties: false}`, `{"b": 1}`, "not described"},
		{`{type: object, additionalProperties: {type: string}}`, `{"b": 1}`, ".b: is of type integer"},
		{`{oneOf: [{type: string}, {type: integer}]}`, `1`, ""},
		{`{oneOf: [{type: string}, {type: boolean}]}`, `1`, "conforms to 0"},
		{`{oneOf: [{type: integer}, {type: number}]}`, `1`, "conforms to 2"},
		{`{$ref: "#/components/schemas/Name"}`, `1`, "is of type integer"},
		{`{$ref: "#/components/schemas/Other"}`, `1`, "no schema"},
	} {
		var schema map[string]any
		var value any
		if err := yaml.Unmarshal([]byte(c.schema), &schema); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(c.value), &value); err != nil {
			t.Fatal(err)
		}
		err := d.conforms(schema, value)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s with %s: got %v, want %q", c.schema, c.value, err, c.want)
		}
	}
}
