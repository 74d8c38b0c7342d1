package pipe_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ananas-edge/ananas/internal/pipe"
)

func TestPipe(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(t *testing.T, a, b *pipe.Conn, l *pipe.Link)
	}{
		{"what is written arrives, and then the end", func(t *testing.T, a, b *pipe.Conn, l *pipe.Link) {
			a.Write([]byte("one"))
			a.Write([]byte("two"))
			a.Close()
			if got, err := io.ReadAll(b); string(got) != "onetwo" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
			if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
				t.Error(err)
			}
			if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}},
		{"a delay", func(t *testing.T, a, b *pipe.Conn, l *pipe.Link) {
			began := time.Now()
			l.Delay(3 * time.Second)
			a.Write([]byte("one"))
			a.Close()
			if got, _ := io.ReadAll(b); string(got) != "one" || time.Since(began) != 3*time.Second {
				t.Errorf("%q after %v", got, time.Since(began))
			}
		}},
		{"a link that is held, and let go", func(t *testing.T, a, b *pipe.Conn, l *pipe.Link) {
			l.Hold(true)
			a.Write([]byte("one"))
			a.Close()
			b.SetReadDeadline(time.Now().Add(time.Minute))
			if n, err := b.Read(make([]byte, 9)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(n, err)
			}
			b.SetReadDeadline(time.Time{})
			time.AfterFunc(time.Hour, func() { l.Hold(false) })
			if got, err := io.ReadAll(b); string(got) != "one" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}},
		{"a cut", func(t *testing.T, a, b *pipe.Conn, l *pipe.Link) {
			a.Write([]byte("lost"))
			time.AfterFunc(time.Second, l.Cut)
			time.Sleep(2 * time.Second)
			if n, err := b.Read(make([]byte, 9)); n != 0 || !errors.Is(err, syscall.ECONNRESET) {
				t.Error(n, err)
			}
			if _, err := a.Write([]byte("x")); !errors.Is(err, syscall.ECONNRESET) {
				t.Error(err)
			}
		}},
		{"who reads nothing keeps who writes waiting", func(t *testing.T, a, b *pipe.Conn, l *pipe.Link) {
			a.SetWriteDeadline(time.Now().Add(time.Second))
			n, err := a.Write(make([]byte, 2*pipe.Buffer))
			var timeout net.Error
			if n != pipe.Buffer || !errors.As(err, &timeout) || !timeout.Timeout() {
				t.Error(n, err)
			}
			a.SetWriteDeadline(time.Time{})
			go func() { a.Write(bytes.Repeat([]byte{1}, 2*pipe.Buffer)); a.Close() }()
			if got, err := io.ReadAll(b); len(got) != 3*pipe.Buffer || err != nil {
				t.Error(len(got), err)
			}
		}},
		{"a deadline that is set while somebody waits", func(t *testing.T, a, b *pipe.Conn, l *pipe.Link) {
			time.AfterFunc(time.Second, func() { b.SetDeadline(time.Now()) })
			if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b, l := pipe.New("a", "b")
				c.do(t, a, b, l)
			})
		})
	}
}
