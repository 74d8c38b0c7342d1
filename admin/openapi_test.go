package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/telemetry"
)

// Every route that is served is described, with its methods and parameters, and every one that is described is served.
func TestDescriptionHasTheRoutes(t *testing.T) {
	b := newBench(t)
	d := readDescription(t)
	served := map[string]bool{}
	for path, rt := range b.routes {
		for _, method := range rt.methods() {
			params := slices.Clone(rt.params)
			if method != http.MethodGet {
				params = nil
			}
			slices.Sort(params)
			served[fmt.Sprint(method, " ", path, " ", params)] = true
		}
	}
	described := map[string]bool{}
	for path, item := range d.at("paths") {
		for method, operation := range item.(map[string]any) {
			var params []string
			list, _ := operation.(map[string]any)["parameters"].([]any)
			for _, p := range list {
				if one := p.(map[string]any); one["in"] != "path" {
					params = append(params, one["name"].(string))
				}
			}
			slices.Sort(params)
			described[fmt.Sprint(strings.ToUpper(method), " ", path, " ", params)] = true
		}
	}
	for route := range served {
		if !described[route] {
			t.Errorf("served and not described: %s", route)
		}
	}
	for route := range described {
		if !served[route] {
			t.Errorf("described and not served: %s", route)
		}
	}
}

func nothingStored(b *bench) { b.node.store.empty = true }

// What is asked of each route, so that every kind of answer is seen. Each call goes to a fresh server.
var calls = []struct {
	name           string
	method, target string
	body           string
	change         func(b *bench)
	status         int
}{
	{"index", "GET", "/", "", nil, 200},
	{"alive", "GET", "/healthz", "", nil, 200},
	{"ready", "GET", "/readyz", "", func(b *bench) { b.health.Warn("clock", func() string { return "fixed" }) }, 200},
	{"not ready", "GET", "/readyz", "", func(b *bench) { b.health.Check("dns", func() error { return errors.New("no") }) }, 503},
	{"metrics", "GET", "/metrics", "", nil, 200},
	{"openapi", "GET", "/openapi.yaml", "", nil, 200},
	{"pprof", "GET", "/debug/pprof/", "", nil, 200},
	{"profile", "GET", "/debug/pprof/heap", "", nil, 200},
	{"status", "GET", "/api/v1/status", "", func(b *bench) { b.crashes.Report("x", "y", nil) }, 200},
	{"status of nothing", "GET", "/api/v1/status", "", func(b *bench) { b.node.status = NodeStatus{} }, 200},
	{"reload", "POST", "/api/v1/reload", "", nil, 200},
	{"reload of nothing", "POST", "/api/v1/reload", "", func(b *bench) {
		b.node.reload = func(context.Context) (Reloaded, error) { return Reloaded{}, nil }
	}, 200},
	{"reload refused", "POST", "/api/v1/reload", "", func(b *bench) {
		b.node.reload = func(context.Context) (Reloaded, error) { return Reloaded{}, errBroken }
	}, 422},
	{"cache", "GET", "/api/v1/cache?name=www.example", "", nil, 200},
	{"empty cache", "GET", "/api/v1/cache", "", func(b *bench) {
		b.node.list = func(context.Context, CacheQuery) (CacheList, error) { return CacheList{}, nil }
	}, 200},
	{"cache, wrong parameter", "GET", "/api/v1/cache?limit=x", "", nil, 400},
	{"purge", "POST", "/api/v1/cache/purge", `{"name":"www.example","subtree":true}`, nil, 200},
	{"purge of nothing", "POST", "/api/v1/cache/purge", `{"name":"www.example"}`, func(b *bench) {
		b.node.purge = func(context.Context, Purge) (Purged, error) { return Purged{}, nil }
	}, 200},
	{"purge without body", "POST", "/api/v1/cache/purge", "", nil, 415},
	{"purge of what is no name", "POST", "/api/v1/cache/purge", `{}`, nil, 400},
	{"purge that crashes", "POST", "/api/v1/cache/purge", `{"name":"."}`, func(b *bench) {
		b.node.purge = func(context.Context, Purge) (Purged, error) { panic("x") }
	}, 500},
	{"queries", "GET", "/api/v1/queries?name=example", "", nil, 200},
	{"no queries", "GET", "/api/v1/queries", "", func(b *bench) {
		b.node.samples = func(context.Context, SampleQuery) (SampleList, error) { return SampleList{}, nil }
	}, 200},
	{"queries that fail", "GET", "/api/v1/queries", "", func(b *bench) {
		b.node.samples = func(context.Context, SampleQuery) (SampleList, error) { return SampleList{}, errBroken }
	}, 500},
	{"explain", "GET", "/api/v1/explain?name=www.example&type=AAAA", "", nil, 200},
	{"explain that breaks", "GET", "/api/v1/explain?name=www.example", "", func(b *bench) {
		b.node.explain = func(_ context.Context, _ ExplainRequest, emit func(Event) error) (ExplainAnswer, error) {
			emit(Event{Seq: 1, Kind: "start", Text: "x"})
			return ExplainAnswer{}, errBroken
		}
	}, 200},
	{"explain that fails", "GET", "/api/v1/explain?name=www.example", "", func(b *bench) {
		b.node.explain = func(context.Context, ExplainRequest, func(Event) error) (ExplainAnswer, error) {
			return ExplainAnswer{}, errBroken
		}
	}, 500},
	{"apply", "POST", "/api/v1/apply", `{"files":[{"name":"a.yaml"}]}`, nil, 200},
	{"apply of nothing new", "POST", "/api/v1/apply", `{"files":[{"name":"a.yaml"}]}`, nothingStored, 200},
	{"apply with an unknown end", "POST", "/api/v1/apply", `{"files":[{"name":"a.yaml"}]}`, func(b *bench) {
		b.node.store.err = &Refusal{Why: Unknown, Commit: "00ff", Err: errBroken}
	}, 504},
	{"rollback", "POST", "/api/v1/rollback", `{"version":41}`, nil, 200},
	{"rollback where a file is the truth", "POST", "/api/v1/rollback", `{"version":41}`, func(b *bench) {
		b.node.store.err = &Refusal{Why: Owner, Err: errBroken}
	}, 409},
	{"settings", "GET", "/api/v1/settings?prefix=forward", "", nil, 200},
	{"no settings", "GET", "/api/v1/settings", "", nothingStored, 200},
	{"difference", "GET", "/api/v1/settings/diff?from=1", "", nil, 200},
	{"no difference", "GET", "/api/v1/settings/diff?from=1", "", nothingStored, 200},
	{"history", "GET", "/api/v1/settings/history", "", nil, 200},
	{"no history", "GET", "/api/v1/settings/history", "", nothingStored, 200},
	{"watch", "GET", "/api/v1/settings/watch?after=0", "", nil, 200},
	{"snapshot", "GET", "/api/v1/snapshot", "", nil, 200},
	{"blob", "GET", blobPrefix + strings.Repeat("0a", 32), "", nil, 200},
	{"content of a blob", "GET", blobPrefix + strings.Repeat("0a", 32) + contentEnd, "", nil, 200},
	{"content of what is no blob", "GET", blobPrefix + "0a" + contentEnd, "", nil, 400},
	{"put a blob", "PUT", blobPrefix + strings.Repeat("0a", 32), "content", nil, 200},
	{"put what is no blob", "PUT", blobPrefix + "0a", "content", nil, 400},
	{"rollouts", "GET", "/api/v1/rollouts?id=42", "", nil, 200},
	{"no rollouts", "GET", "/api/v1/rollouts", "", nothingStored, 200},
	{"steer", "POST", "/api/v1/rollouts", `{"id":"42","action":"promote"}`, nil, 200},
	{"steer what says little", "POST", "/api/v1/rollouts", `{"id":"42","action":"promote"}`, nothingStored, 200},
	{"modules", "GET", "/api/v1/modules", "", nil, 200},
	{"log of a module", "GET", "/api/v1/modules/log?name=family", "", nil, 200},
	{"log of a module that says nothing", "GET", "/api/v1/modules/log?name=idle", "", nil, 200},
	{"try", "POST", "/api/v1/modules/try", `{"module":"family","source":"AGFzbQ==","phases":["query"],"grant":["client"],"settings":{"a":"b"},"fuel":1,"messages":true,"one_in":2}{"messages":[{"query":"AA=="}]}`, nil, 200},
	{"try what fails", "POST", "/api/v1/modules/try", `{"module":"faulty","messages":true}`, nil, 200},
	{"try what is not there", "POST", "/api/v1/modules/try", `{"module":"unknown","messages":true}`, nil, 422},
	{"root", "GET", "/api/v1/root", "", nil, 200},
	{"root of nobody", "GET", "/api/v1/root", "", nothingStored, 200},
	{"token", "POST", "/api/v1/root/token", `{}`, nil, 200},
	{"token of nothing", "POST", "/api/v1/root/token", `{}`, nothingStored, 200},
	{"withdraw", "POST", "/api/v1/root/withdraw", `{"id":"0011"}`, nil, 200},
	{"withdraw what says little", "POST", "/api/v1/root/withdraw", `{"id":"0011"}`, nothingStored, 200},
	{"access", "GET", "/api/v1/root/access", "", nil, 200},
	{"access of nothing", "GET", "/api/v1/root/access", "", nothingStored, 200},
	{"set access", "POST", "/api/v1/root/access", `{"rules":[{"labels":{"role":"edge"},"read":["forward"]}]}`, nil, 200},
	{"remove", "POST", "/api/v1/root/remove", `{"name":"lis02"}`, nil, 200},
	{"remove what says little", "POST", "/api/v1/root/remove", `{"name":"lis02"}`, nothingStored, 200},
	{"method", "DELETE", "/api/v1/status", "", nil, 405},
}

// The answers of real calls conform to what is described, down to each member, and each route has a call.
func TestAnswersAreAsDescribed(t *testing.T) {
	d := readDescription(t)
	called := map[string]bool{}
	for _, c := range calls {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t)
			if c.change != nil {
				c.change(b)
			}
			r := b.request(c.method, c.target, c.body)
			if c.method == http.MethodPut {
				r.Header.Set("Content-Type", octets)
			}
			w := b.do(r)
			if w.Code != c.status {
				t.Fatalf("HTTP %d %s, want %d", w.Code, w.Body, c.status)
			}
			path, _, _ := strings.Cut(c.target, "?")
			if strings.HasPrefix(path, pprofPath) {
				path = pprofPath
			}
			if strings.HasPrefix(path, blobPrefix) {
				path = blobRoute(path)
			}
			called[c.method+" "+path] = true
			responses := d.at("paths", path, strings.ToLower(c.method), "responses")
			if responses == nil { // a method that the path does not have
				responses = d.at("paths", path, "get", "responses")
			}
			response, ok := responses[fmt.Sprint(w.Code)].(map[string]any)
			if !ok {
				response = responses["default"].(map[string]any)
			}
			media, _, _ := strings.Cut(w.Header().Get("Content-Type"), ";")
			content, ok := d.resolve(response)["content"].(map[string]any)[media].(map[string]any)
			if !ok {
				t.Fatalf("an answer of the type %q is not described", media)
			}
			schema := content["schema"].(map[string]any)
			for _, v := range decode(t, media, w.Body.String()) {
				if err := d.conforms(schema, v); err != nil {
					t.Errorf("%v: %v", v, err)
				}
			}
		})
	}
	for path, item := range d.at("paths") {
		for method := range item.(map[string]any) {
			if route := strings.ToUpper(method) + " " + path; !called[route] {
				t.Errorf("no call of %s", route)
			}
		}
	}
}

// decode returns the values of a body.
func decode(t *testing.T, media, body string) []any {
	t.Helper()
	texts := []string{body}
	switch media {
	case "application/json", "application/problem+json":
	case "application/x-ndjson":
		texts = strings.Split(strings.TrimSuffix(body, "\n"), "\n")
	default:
		return []any{body}
	}
	var values []any
	for _, text := range texts {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		values = append(values, v)
	}
	return values
}

// The body that is described is the body that is taken.
func TestBodiesAreAsDescribed(t *testing.T) {
	d := readDescription(t)
	schema := d.at("paths", "/api/v1/cache/purge", "post", "requestBody", "content", "application/json", "schema")
	for _, body := range []string{`{"name":"a.example"}`, `{"name":"a.example","subtree":true}`, `{}`, `{"name":1}`, `{"name":"a","subtree":"x"}`, `{"name":"a","x":1}`, `[]`} {
		b := newBench(t)
		w := b.do(b.request("POST", "/api/v1/cache/purge", body))
		err := d.conforms(schema, decode(t, "application/json", body)[0])
		if (w.Code == http.StatusOK) != (err == nil) {
			t.Errorf("%s: HTTP %d, the description says %v", body, w.Code, err)
		}
	}
}

// Writes are the routes that are described as needing the token.
func TestDescriptionSaysWhatNeedsTheToken(t *testing.T) {
	for path, item := range readDescription(t).at("paths") {
		for method, operation := range item.(map[string]any) {
			_, needs := operation.(map[string]any)["security"]
			if needs != (method != "get" || path == snapshotPath) {
				t.Errorf("%s %s: described as needing the token: %v", method, path, needs)
			}
		}
	}
}

// The description has the limits and the kinds of problem of the code.
func TestDescriptionHasTheLimitsAndProblems(t *testing.T) {
	d := readDescription(t)
	param := func(path, name string) map[string]any {
		for _, p := range d.at("paths", path, "get")["parameters"].([]any) {
			if p := p.(map[string]any); p["name"] == name {
				return p["schema"].(map[string]any)
			}
		}
		t.Fatalf("%s has no parameter %s", path, name)
		return nil
	}
	limit, depth := param("/api/v1/cache", "limit"), param("/api/v1/explain", "depth")
	samples := param("/api/v1/queries", "limit")
	if samples["maximum"] != MaxSampleLimit || samples["default"] != DefaultSampleLimit || limit["maximum"] != MaxCacheLimit || limit["default"] != DefaultCacheLimit || depth["maximum"] != MaxExplainDepth {
		t.Errorf("limits %v and %v, depth %v", limit, samples, depth)
	}

	settings, history := param("/api/v1/settings", "limit"), param("/api/v1/settings/history", "limit")
	if settings["maximum"] != MaxSettingsLimit || settings["default"] != DefaultSettingsLimit || history["maximum"] != MaxHistoryLimit || history["default"] != DefaultHistoryLimit {
		t.Errorf("limits %v and %v", settings, history)
	}

	source, err := os.ReadFile("problem.go")
	if err != nil {
		t.Fatal(err)
	}
	inCode := map[string]bool{}
	for _, m := range regexp.MustCompile(`= kind\("([a-z-]+)"`).FindAllStringSubmatch(string(source), -1) {
		inCode[ProblemPrefix+m[1]] = true
	}
	described := map[string]bool{}
	for _, p := range d.at("components", "schemas", "Problem", "properties", "type")["enum"].([]any) {
		described[p.(string)] = true
	}
	if len(inCode) == 0 || !maps.Equal(inCode, described) {
		t.Errorf("problems of the code: %v\ndescribed: %v", inCode, described)
	}
}

// docs/api.md names every path and every kind of problem, and docs/metrics.md the metrics of the two packages.
func TestDocuments(t *testing.T) {
	api, err := os.ReadFile("../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	d := readDescription(t)
	for path, item := range d.at("paths") {
		for method := range item.(map[string]any) {
			if want := "`" + strings.ToUpper(method) + " " + path + "`"; !strings.Contains(string(api), want) {
				t.Errorf("docs/api.md lacks %s", want)
			}
		}
	}
	for _, p := range d.at("components", "schemas", "Problem", "properties", "type")["enum"].([]any) {
		if want := "`" + strings.TrimPrefix(p.(string), ProblemPrefix) + "`"; !strings.Contains(string(api), want) {
			t.Errorf("docs/api.md lacks the problem %s", want)
		}
	}
	metrics, err := os.ReadFile("../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.metrics.Process(moment)
	for row := range strings.Lines(telemetry.Document(b.metrics)) {
		if !strings.Contains(string(metrics), row) {
			t.Errorf("docs/metrics.md lacks the row\n%s", row)
		}
	}
}
