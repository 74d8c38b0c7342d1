package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The page at / shows the status, needs no script and nothing from elsewhere, and asks to be loaded again every five seconds.

//go:embed index.html
var indexText string

//go:embed index.css
var indexStyle string

var indexPage = template.Must(template.New("index").Funcs(template.FuncMap{
	"style":   func() template.CSS { return template.CSS(indexStyle) },
	"bytes":   binaryBytes,
	"count":   groupDigits,
	"percent": percent,
	"ago":     ago,
	"share":   func(part float64) string { return strconv.FormatFloat(100*part, 'f', 1, 64) + " %" },
	"less":    func(n, less uint64) uint64 { return n - min(n, less) },
	"during":  func(d time.Duration) string { return ago(time.Time{}.Add(max(d, time.Second)), time.Time{}) },
	"age":     age,
	"past": func(now, then time.Time) string {
		if now.Sub(then) < time.Second {
			return "now"
		}
		return ago(now, then) + " ago"
	},
	"span":   span,
	"short":  func(digest string) string { return digest[:min(8, len(digest))] },
	"moment": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
}).Parse(indexText))

// indexPolicy lets the page have its own style and nothing else: no script, no form, no frame, nothing from elsewhere.
var indexPolicy = func() string {
	hash := sha256.Sum256([]byte(indexStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

func (s *Server) index(w http.ResponseWriter, r *http.Request) *Problem {
	status, p := s.readStatus(r.Context())
	if p != nil {
		return p
	}
	shown := page{Status: status}
	s.asked(r.Context(), &shown)
	s.fleet(r.Context(), &shown)
	s.moduleCard(r.Context(), &shown)
	var b bytes.Buffer
	if err := indexPage.Execute(&b, &shown); err != nil {
		return problemFailed.of(fmt.Errorf("writing the page: %w", err))
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", indexPolicy)
	w.Write(b.Bytes())
	return nil
}

// binaryBytes writes a number of bytes as the settings do.
func binaryBytes(n int64) string {
	v, unit := float64(n), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if v < 1024 {
			break
		}
		v, unit = v/1024, larger
	}
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0") + " " + unit
}

// groupDigits writes a whole number with commas between thousands.
func groupDigits(n any) string {
	digits := fmt.Sprint(n)
	sign := ""
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

func percent(part, whole uint64) string {
	if whole == 0 {
		return "none yet"
	}
	return strconv.FormatFloat(100*float64(part)/float64(whole), 'f', 1, 64) + " %"
}

// span writes milliseconds as a time, in its two largest units.
func span(ms int64) string {
	if ms < 1000 {
		return "0 s"
	}
	return ago(time.Time{}.Add(time.Duration(ms)*time.Millisecond), time.Time{})
}

// age writes how old something is that is told in milliseconds; below 0 nobody knows.
func age(ms int64) string {
	switch {
	case ms < 0:
		return "unknown"
	case ms < 1000:
		return "less than 1 s"
	}
	return span(ms)
}

// ago writes how long before now a moment was, in its two largest units.
func ago(now, then time.Time) string {
	d := now.Sub(then)
	if d < time.Second {
		return "now"
	}
	units := []struct {
		name string
		d    time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"min", time.Minute}, {"s", time.Second}}
	var parts []string
	for _, u := range units {
		if n := d / u.d; n > 0 || len(parts) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, u.name))
			d -= n * u.d
		}
		if len(parts) == 2 {
			break
		}
	}
	return strings.Join(parts, " ")
}
