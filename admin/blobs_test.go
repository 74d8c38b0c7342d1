package admin

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/store/blobs"
)

// blobBench is a server with a folder of blobs behind it.
func blobBench(t *testing.T) (*bench, *blobs.Folder, string) {
	t.Helper()
	b, dir := newBench(t), filepath.Join(t.TempDir(), "blobs")
	f, err := blobs.Open(dir, blobs.Options{Boot: func() time.Duration { return 0 }})
	if err != nil {
		t.Fatal(err)
	}
	b.node.store.put = func(_ context.Context, sum [32]byte, content io.Reader) error {
		w, err := f.Begin(sum)
		if err != nil {
			return err
		}
		defer w.Abort()
		if _, err := io.Copy(struct{ io.Writer }{w}, content); err != nil {
			return err
		}
		err = w.Commit()
		var another *blobs.DigestError
		if errors.As(err, &another) {
			return &Refusal{Why: Another, Err: err}
		}
		return err
	}
	return b, f, dir
}

// endless is a body that never ends by itself.
type endless struct{}

func (endless) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// What is not the blob that it says is refused, and nothing of it is left: another content, one that is too long or breaks off, and one that nobody may put.
func TestHostileUploads(t *testing.T) {
	content := bytes.Repeat([]byte("bad.example.net\n"), 100_000)
	sum := sha256.Sum256(content)
	name := fmt.Sprintf("%x", sum)
	cut := errors.New("the line was cut")
	for what, c := range map[string]struct {
		name   string
		body   io.Reader
		size   int64 // that is announced; -1: none is
		change func(*http.Request)
		status int
		says   string
	}{
		"another content":       {name, bytes.NewReader(content[1:]), int64(len(content)) - 1, nil, 400, "has 1599999 octets with the SHA-256"},
		"more than is to come":  {name, io.MultiReader(bytes.NewReader(content), strings.NewReader("x")), -1, nil, 400, "has 1600001 octets"},
		"empty":                 {name, strings.NewReader(""), 0, nil, 400, "has 0 octets"},
		"too long, and says so": {name, endless{}, MaxBlobBytes + 1, nil, 413, "at most 268435456"},
		"too long":              {name, endless{}, -1, nil, 413, "larger than 268435456"},
		"cut off":               {name, io.MultiReader(bytes.NewReader(content[:70_000]), failing{cut}), int64(len(content)), nil, 400, "it broke off after 70000 bytes: the line was cut"},
		"no digest":             {name[1:], bytes.NewReader(content), int64(len(content)), nil, 400, "64 digits"},
		"too long a digest":     {name + "00", bytes.NewReader(content), int64(len(content)), nil, 400, "64 digits"},
		"no hexadecimal digits": {"g" + name[1:], bytes.NewReader(content), int64(len(content)), nil, 400, "64 digits"},
		"another digest form":   {strings.ToUpper(name), bytes.NewReader(content), int64(len(content)), nil, 400, "64 digits"},
		"a way out":             {"..%2F..%2Fpasswd", bytes.NewReader(content), int64(len(content)), nil, 400, "64 digits"},
		"as a form":             {name, bytes.NewReader(content), int64(len(content)), func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, 415, ""},
		"without the token":     {name, bytes.NewReader(content), int64(len(content)), func(r *http.Request) { r.Header.Del("Authorization") }, 401, ""},
		"of another site":       {name, bytes.NewReader(content), int64(len(content)), func(r *http.Request) { r.Header.Set("Origin", "http://example.net") }, 403, ""},
	} {
		t.Run(what, func(t *testing.T) {
			b, f, dir := blobBench(t)
			r := b.request(http.MethodPut, blobPrefix+c.name, "x")
			r.Body, r.ContentLength = io.NopCloser(c.body), c.size
			r.Header.Set("Content-Type", octets)
			if c.change != nil {
				c.change(r)
			}
			w := b.do(r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("HTTP %d %s", w.Code, w.Body)
			}
			left, err := os.ReadDir(dir)
			if f.Len() != 0 || len(left) != 0 || err != nil {
				t.Errorf("%d blobs, %v, %v", f.Len(), left, err)
			}
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

// Of one blob that two put at once, one of whom breaks off, there is one, whole; no more than so many are put at one time.
func TestUploadsAtOnce(t *testing.T) {
	b, f, dir := blobBench(t)
	content := bytes.Repeat([]byte("bad.example.net\n"), 100_000)
	sum := sha256.Sum256(content)
	put := func(body io.Reader) int {
		r := b.request(http.MethodPut, fmt.Sprintf("%s%x", blobPrefix, sum), "x")
		r.Body, r.ContentLength = io.NopCloser(body), -1
		r.Header.Set("Content-Type", octets)
		return b.do(r).Code
	}
	codes := make(chan int, MaxUploads)
	var lines []*io.PipeWriter
	for range MaxUploads {
		out, in := io.Pipe()
		lines = append(lines, in)
		go func() { codes <- put(out) }()
		if _, err := in.Write(content[:1000]); err != nil { // it is under way
			t.Fatal(err)
		}
	}
	if code := put(bytes.NewReader(content)); code != http.StatusServiceUnavailable {
		t.Errorf("one more: HTTP %d", code)
	}
	lines[0].CloseWithError(errors.New("cut"))
	if code := <-codes; code != http.StatusBadRequest {
		t.Errorf("one that breaks off: HTTP %d", code)
	}
	for _, in := range lines[1:] {
		go func() {
			_, err := in.Write(content[1000:])
			in.CloseWithError(err)
		}()
	}
	for range lines[1:] {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("HTTP %d", code)
		}
	}
	left, _ := os.ReadDir(dir)
	if got, err := f.Read(sum, len(content)); err != nil || !bytes.Equal(got, content) || len(left) != 1 {
		t.Errorf("%d octets, %v, %v", len(got), err, left)
	}
	if code := put(bytes.NewReader(content)); code != http.StatusOK {
		t.Errorf("what is there: HTTP %d", code)
	}
}

// When a content has come, nothing more has to come in time: what is done with it may take a minute.
func TestUploadHasComeWhole(t *testing.T) {
	b := newBench(t)
	w := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	b.node.store.put = func(_ context.Context, _ [32]byte, content io.Reader) error {
		if _, err := content.Read(make([]byte, 1)); err != nil || w.read.IsZero() {
			t.Errorf("while it comes: %v, deadline %v", err, w.read)
		}
		if n, err := io.Copy(io.Discard, content); n != 3 || err != nil || !w.read.IsZero() {
			t.Errorf("%d octets, %v, deadline %v", n, err, w.read)
		}
		return nil
	}
	r := b.request(http.MethodPut, fmt.Sprintf("%s%x", blobPrefix, sha256.Sum256(nil)), "text")
	r.Header.Set("Content-Type", octets)
	if b.ServeHTTP(w, r); w.Code != http.StatusOK {
		t.Errorf("HTTP %d", w.Code)
	}

	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.node.store.put = func(ctx context.Context, _ [32]byte, content io.Reader) error {
			_, err := io.Copy(io.Discard, content)
			time.Sleep(time.Minute)
			return errors.Join(err, ctx.Err())
		}
		client, end := b.overPipes()
		defer end()
		if status, body := b.upload(client, strings.NewReader("text")); status != http.StatusOK {
			t.Errorf("HTTP %d %s", status, body)
		}
	})
}

// upload puts a content, and returns what is answered.
func (b *bench) upload(client *http.Client, content io.Reader) (status int, body string) {
	b.t.Helper()
	r, err := http.NewRequest(http.MethodPut, fmt.Sprintf("http://127.0.0.1:8053%s%x", blobPrefix, sha256.Sum256(nil)), content)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+b.token)
	r.Header.Set("Content-Type", octets)
	w, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err != nil {
		b.t.Error(err)
	}
	return w.StatusCode, string(text)
}

// dripping is a content that comes a piece at a time, each so long after the one before.
type dripping struct {
	every time.Duration
	piece int
	left  int // pieces
	quit  chan struct{}
}

func (d *dripping) Read(b []byte) (int, error) {
	if d.left == 0 {
		return 0, io.EOF
	}
	d.left--
	select {
	case <-time.After(d.every):
		return min(d.piece, len(b)), nil
	case <-d.quit:
		return 0, io.ErrClosedPipe
	}
}

// A content may come as slowly as a bad line has it, and no slower: an octet now and then does not hold one of four places for half an hour.
func TestUploadPace(t *testing.T) {
	for what, c := range map[string]struct {
		content dripping
		status  int
		took    time.Duration
	}{
		"a bad line":      {dripping{every: time.Second, piece: 32 << 10, left: 200}, http.StatusOK, 200 * time.Second},
		"an octet in 9 s": {dripping{every: 9 * time.Second, piece: 1, left: 20}, http.StatusGatewayTimeout, readTimeout},
		"slower":          {dripping{every: time.Second, piece: 16 << 10, left: 200}, http.StatusGatewayTimeout, readTimeout},
		"too long in all": {dripping{every: time.Second, piece: 30 << 10, left: 3000}, http.StatusGatewayTimeout, uploadTimeout},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			client, end := b.overPipes()
			defer end()
			began := time.Now()
			c.content.quit = make(chan struct{})
			status, body := b.upload(client, &c.content)
			close(c.content.quit)
			// A pipe, as a connection that is reset, may end under the hands of who still writes, before he reads why.
			cut := status == 0 && c.status != http.StatusOK && strings.Contains(body, io.ErrClosedPipe.Error())
			if took := time.Since(began); status != c.status && !cut || took != c.took {
				t.Errorf("%s: HTTP %d %s after %v, want %d after %v", what, status, body, took, c.status, c.took)
			}
		})
	}
}

// A content is streamed to who may read the settings. What turns out to be spoilt is cut off, so many are on their way at one time, and nothing comes of one that is not here.
func TestContentOfBlobs(t *testing.T) {
	content := bytes.Repeat([]byte("bad.example.net\n"), 100_000)
	path := fmt.Sprintf("%s%x%s", blobPrefix, sha256.Sum256(content), contentEnd)
	b := newBench(t)
	b.node.store.read = func(_ context.Context, sum [32]byte) (io.ReadCloser, int64, error) {
		if sum != sha256.Sum256(content) {
			return nil, 0, &Refusal{Why: Absent, Err: errBroken}
		}
		return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
	}
	w := b.do(b.request(http.MethodGet, path, ""))
	if w.Code != http.StatusOK || !bytes.Equal(w.Body.Bytes(), content) || w.Header().Get("Content-Type") != octets || w.Header().Get("Content-Length") != "1600000" {
		t.Errorf("HTTP %d, %d octets, %v", w.Code, w.Body.Len(), w.Header())
	}
	if w := b.do(b.request(http.MethodHead, path, "")); w.Code != http.StatusOK || w.Body.Len() > 0 || w.Header().Get("Content-Length") != "1600000" {
		t.Errorf("HEAD: HTTP %d, %d octets, %v", w.Code, w.Body.Len(), w.Header())
	}
	outside := b.request(http.MethodGet, path, "")
	outside.Header.Del("Authorization")
	outside.RemoteAddr = "192.0.2.1:4000"
	b.problem(outside, "token")
	b.problem(b.request(http.MethodGet, blobPrefix+strings.Repeat("0a", 32)+contentEnd, ""), "absent")
	b.problem(b.request(http.MethodGet, blobPrefix+strings.Repeat("0A", 32)+contentEnd, ""), "parameter")
	b.problem(b.request(http.MethodPut, path, "x"), "method")

	// What can't be read at all is a problem, and not half an answer.
	read := b.node.store.read
	b.node.store.read = func(ctx context.Context, sum [32]byte) (io.ReadCloser, int64, error) {
		return io.NopCloser(failing{errBroken}), 7, nil
	}
	if p := b.problem(b.request(http.MethodGet, path, ""), "failed"); !strings.Contains(p.Detail, errBroken.Error()) {
		t.Errorf("%+v", p)
	}

	// Spoilt: the connection ends before the answer does.
	base := b.serve()
	b.node.store.read = func(context.Context, [32]byte) (io.ReadCloser, int64, error) {
		return io.NopCloser(io.MultiReader(bytes.NewReader(content[1:]), failing{errBroken})), int64(len(content)), nil
	}
	response := b.get(base + path)
	if n, err := io.Copy(io.Discard, response.Body); err == nil || n >= int64(len(content)) {
		t.Errorf("%d octets, %v", n, err)
	}
	response.Body.Close()

	// One more than there may be.
	out, in := io.Pipe()
	b.node.store.read = func(context.Context, [32]byte) (io.ReadCloser, int64, error) { return io.NopCloser(out), 0, nil }
	codes := make(chan int, MaxDownloads)
	for range MaxDownloads {
		go func() { codes <- b.do(b.request(http.MethodGet, path, "")).Code }()
	}
	for len(b.downloads) < MaxDownloads {
		runtime.Gosched()
	}
	b.problem(b.request(http.MethodGet, path, ""), "busy")
	in.Close()
	for range MaxDownloads {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("HTTP %d", code)
		}
	}
	b.node.store.read = read
	if w := b.do(b.request(http.MethodGet, path, "")); w.Code != http.StatusOK {
		t.Errorf("afterwards: HTTP %d", w.Code)
	}
	if !b.metric(`ananas_admin_limit_reached_total{limit="downloads"} 1`) {
		t.Error("the limit is not counted")
	}
}

// Who stops the node does not wait for what is on its way.
func TestContentOfANodeThatStops(t *testing.T) {
	b := newBench(t)
	out, in := io.Pipe()
	b.node.store.read = func(context.Context, [32]byte) (io.ReadCloser, int64, error) { return out, 3, nil }
	go func() {
		in.Write([]byte{0})
		in.Write([]byte{0}) // taken when the one before was sent
		b.close()
		in.Write([]byte{0})
		in.Close()
	}()
	defer func() {
		if recover() != http.ErrAbortHandler {
			t.Error("it is not cut off")
		}
		out.Close()
	}()
	b.do(b.request(http.MethodGet, fmt.Sprintf("%s%064x%s", blobPrefix, 0, contentEnd), ""))
}
