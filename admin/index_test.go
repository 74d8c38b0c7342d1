package admin

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestPageShowsTheStatus(t *testing.T) {
	b := newBench(t)
	b.node.status.Settings.Error = "line 7"
	b.health.Warn("testing clock", func() string { return "the clock is fixed" })
	b.health.Check("store", func() error { return errors.New("no root") })
	b.crashes.Report("answering <script>alert(1)</script>. A", "oops", nil)
	w := b.do(b.request("GET", "/", ""))
	page := w.Body.String()
	for _, want := range []string{
		"lis01", "v0.1.0", "not ready", "no root", "the clock is fixed", "1,234,567", "What clients ask", "www.example. A", "50.0 %", "2 samples of one query in 1,000, over 1 s", "image", "81.0 %", "1 d 2 h", "256 MiB", "214.8 KiB",
		"127.0.0.1:5335", "line 7", "corp.example.", "20326 valid", "no &lt;reply&gt;", "node.cache", "gone.example.", "2026030100", "no &lt;route&gt;", b.crashes.List()[0].Signature, `href="/openapi.yaml"`, `http-equiv="refresh"`, "&lt;script&gt;",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<script") {
		t.Error("the page has a script")
	}
	if found := regexp.MustCompile(`(?i)(src|href|action)="?(https?:)?//|@import|url\(`).FindString(page); found != "" {
		t.Errorf("the page loads something from elsewhere: %q", found)
	}
	if t.Failed() {
		t.Log(page)
	}
}

// The policy allows the one style of the page, byte for byte, and nothing else.
func TestPagePolicy(t *testing.T) {
	b := newBench(t)
	w := b.do(b.request("GET", "/", ""))
	policy := w.Header().Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	styles := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindAllStringSubmatch(w.Body.String(), -1)
	if len(styles) != 1 || styles[0][1] != indexStyle {
		t.Errorf("the style on the page is not the one that is hashed: %q", styles)
	}
	if strings.Contains(w.Body.String(), "style=") {
		t.Error("a style attribute, which the policy forbids")
	}
}

func TestNumbersForReaders(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB", 256 << 20: "256 MiB", 5 << 40: "5 TiB"} {
		if got := binaryBytes(n); got != want {
			t.Errorf("%d bytes: %q, want %q", n, got, want)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", -1000: "-1,000", 1234567: "1,234,567"} {
		if got := groupDigits(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		-time.Hour: "now", 0: "now", 59 * time.Second: "59 s", 61 * time.Second: "1 min 1 s", time.Hour: "1 h 0 min", 49 * time.Hour: "2 d 1 h",
	} {
		if got := ago(moment, moment.Add(-d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	if got := percent(0, 0); got != "none yet" {
		t.Errorf("0 of 0: %q", got)
	}
}
