package etcd

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

func TestLogged(t *testing.T) {
	for _, c := range []struct {
		name, in, out, why string
	}{
		{"a warning", `{"level":"warn","ts":"2026","caller":"x.go:1","msg":"slow","took":"1s","stacktrace":"a\nb"}` + "\n", `level=WARN msg="etcd: slow" took=1s` + "\n", ""},
		{"an error", `{"level":"error","msg":"bad","error":"worse"}` + "\n", `level=ERROR msg="etcd: bad" error=worse` + "\n", "bad: worse"},
		{"what ended it, and not what came of that", `{"level":"fatal","msg":"bad","error":"worse"}` + "\n" + `{"level":"error","msg":"later"}` + "\n",
			`level=ERROR msg="etcd: bad" error=worse` + "\n" + `level=ERROR msg="etcd: later"` + "\n", "bad: worse"},
		{"a panic", "panic: no more\n\ngoroutine 1 [running]:\nmain.main()\n", "", "panic: no more"},
		{"what is usual", `{"level":"warn","msg":"Running http and grpc server on single port. This"}` + "\n" +
			`{"level":"warn","msg":"request stats","response type":"/etcdserverpb.Maintenance/Defragment"}` + "\n", "", ""},
		{"half a line", `{"level":"warn"`, "", ""},
		{"a line without an end", strings.Repeat("x", 3*maxLine) + "\n" + `{"level":"warn","msg":"then"}` + "\n", `level=WARN msg="etcd: then"` + "\n", ""},
		{"too many", strings.Repeat(`{"level":"warn","msg":"m"}`+"\n", logBurst+5), strings.Repeat(`level=WARN msg="etcd: m"`+"\n", logBurst), ""},
	} {
		for _, step := range []int{1, 7, 1 << 20} {
			var out bytes.Buffer
			l := &logged{now: func() time.Time { return time.Unix(1, 0) }, log: slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{
				ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
					if a.Key == slog.TimeKey {
						return slog.Attr{}
					}
					return a
				}}))}
			for in := c.in; in != ""; {
				n, err := l.Write([]byte(in[:min(step, len(in))]))
				if err != nil {
					t.Fatal(err)
				}
				in = in[n:]
			}
			if out.String() != c.out || l.why() != c.why {
				t.Errorf("%s: told %q, why %q", c.name, out.String(), l.why())
			}
			if len(l.line) > maxLine {
				t.Errorf("%s: %d octets are kept", c.name, len(l.line))
			}
		}
	}
}

// What was dropped is told when the next line is.
func TestLoggedTellsWhatItDropped(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1, 0)
	l := &logged{now: func() time.Time { return now }, log: slog.New(slog.NewTextHandler(&out, nil))}
	line := []byte(`{"level":"warn","msg":"m"}` + "\n")
	for range logBurst + 3 {
		_, _ = l.Write(line)
	}
	now = now.Add(logPeriod + 1)
	_, _ = l.Write(line)
	if !strings.Contains(out.String(), "lines=3") {
		t.Error(out.String())
	}
}

func TestWhy(t *testing.T) {
	said, exit := errors.New("starting etcd: no"), errors.New("exit status 1")
	for _, c := range []struct {
		said   error
		logged string
		exit   error
		want   string
	}{
		{nil, "", nil, "it ended without saying why"},
		{nil, "", exit, "exit status 1"},
		{nil, "disk", exit, "disk (exit status 1)"},
		{nil, "disk", nil, "disk"},
		{said, "", exit, "starting etcd: no"},
		{said, "disk", exit, "starting etcd: no: disk"},
		{errRemoved, "disk", exit, errRemoved.Error()},
	} {
		if got := why(c.said, c.logged, c.exit); got.Error() != c.want {
			t.Errorf("said %v, logged %q, exit %v: %v", c.said, c.logged, c.exit, got)
		}
	}
}

// The second of two revisions that lie a minute apart has all before it dropped, and no later one.
func TestOldRevisions(t *testing.T) {
	k := &keeper{}
	at := time.Unix(1, 0)
	for i := range int64(100) {
		got := k.old(at.Add(time.Duration(i)*keepPeriod), 1000+i)
		want := 1000 + i - int64(keepRevisions/keepPeriod)
		if want < 1000 {
			want = 0
		}
		if got != want {
			t.Errorf("after %d looks %d, want %d", i, got, want)
		}
	}
	if len(k.marks) > int(keepRevisions/keepPeriod)+1 {
		t.Errorf("%d marks are kept", len(k.marks))
	}
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		p     page
		n     int
		size  int
		wants page
	}{
		{8, 8, 10, 32}, {1024, 1024, 10, 1024}, {8, 8, pageSize, 1}, {512, 512, 64 << 10, 63}, {8, 0, 0, 32}, {1, 1, pageSize, 1},
	} {
		if got := c.p.after(values(c.n, c.size)); got != c.wants {
			t.Errorf("after a page of %d, %d values of %d: %d, want %d", c.p, c.n, c.size, got, c.wants)
		}
	}
}

func TestSocketPath(t *testing.T) {
	short, done, err := socket("/data/etcd")
	if err != nil || short != "/data/etcd/client.sock" {
		t.Errorf("%q, %v", short, err)
	}
	done()
	long, done, err := socket("/" + strings.Repeat("x", 200))
	if err != nil || len(long) > maxSocket {
		t.Errorf("%q, %v", long, err)
	}
	folder := strings.TrimSuffix(long, "/d/"+socketName)
	if info, err := os.Stat(folder); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	done()
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzLogged(f *testing.F) {
	f.Add([]byte(`{"level":"warn","msg":"slow","took":1}` + "\n"))
	f.Add([]byte("panic: x\n"))
	f.Add([]byte(`{"level":3,"msg":null}` + "\n[]\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := &logged{now: func() time.Time { return time.Unix(1, 0) }, log: slog.New(slog.DiscardHandler)}
		if n, err := l.Write(b); n != len(b) || err != nil || len(l.line) > maxLine {
			t.Fatalf("%d of %d written, %v, %d kept", n, len(b), err, len(l.line))
		}
	})
}

func FuzzRecordKey(f *testing.F) {
	f.Add(recordKey(7, [16]byte{1}))
	f.Fuzz(func(t *testing.T, key string) {
		if v, id, err := parseRecordKey(key); err == nil && recordKey(v, id) != key {
			t.Fatalf("%q is read as version %d, commit %v", key, v, id)
		}
	})
}

func values(n, size int) []*mvccpb.KeyValue {
	kvs := make([]*mvccpb.KeyValue, n)
	for i := range kvs {
		kvs[i] = &mvccpb.KeyValue{Value: make([]byte, size)}
	}
	return kvs
}
