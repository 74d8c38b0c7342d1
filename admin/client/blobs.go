package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/ananas-edge/ananas/admin"
)

// HasBlob tells whether a content is at the node. If it is, it stays for a day at least.
func (c *Client) HasBlob(ctx context.Context, sum [32]byte) (bool, error) {
	var b admin.Blob
	err := c.ask(ctx, http.MethodGet, "/api/v1/blobs/"+hex.EncodeToString(sum[:]), nil, nil, &b)
	var p *admin.Problem
	if errors.As(err, &p) && p.Type == admin.ProblemPrefix+"absent" {
		return false, nil
	}
	return err == nil, err
}

// PutBlob puts a content of a size in octets there that settings are to name, and returns when the node has it, whole. moved is called as it goes, with how much has gone; nil: nobody wants to know.
func (c *Client) PutBlob(ctx context.Context, sum [32]byte, size int64, content io.Reader, moved func(int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stuck := time.AfterFunc(requestTimeout, func() { cancel(context.DeadlineExceeded) })
	defer stuck.Stop()
	body := &uploading{r: content}
	body.moved = func(n int64) {
		if stuck.Reset(requestTimeout); n == size {
			stuck.Reset(applyTimeout) // the node writes it down, and hands it to the other members of the root
		}
		if moved != nil {
			moved(n)
		}
	}
	target := *c.base
	target.Path += "/api/v1/blobs/" + hex.EncodeToString(sum[:])
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, target.String(), body)
	if err != nil {
		return c.wrap(err, "")
	}
	r.ContentLength = size
	r.Header.Set("Content-Type", "application/octet-stream")
	r.Header.Set("Expect", "100-continue") // so that a node that does not want it is not sent all of it
	if c.token != "" {
		r.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(r)
	switch {
	case body.err != nil:
		return body.err
	case err != nil && context.Cause(ctx) == context.DeadlineExceeded:
		return c.broken(context.DeadlineExceeded)
	case err != nil:
		return c.broken(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return c.refused(response)
	}
	return nil
}

// GetBlob writes a content that a document names to w, of that size in octets. moved is told how far it is; nil: nobody is. An error of w is returned as it is. What has come is not the content before nil is
// returned: then it has that size and that SHA-256.
func (c *Client) GetBlob(ctx context.Context, sum [32]byte, size int64, w io.Writer, moved func(int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stuck := time.AfterFunc(requestTimeout, func() { cancel(context.DeadlineExceeded) })
	defer stuck.Stop()
	response, err := c.send(ctx, http.MethodGet, "/api/v1/blobs/"+hex.EncodeToString(sum[:])+"/content", nil, nil)
	if err == nil {
		defer response.Body.Close()
		var n int64
		digest := sha256.New()
		into := &writing{w: io.MultiWriter(w, digest)}
		into.moved = func() { stuck.Reset(requestTimeout) }
		counted := io.TeeReader(io.LimitReader(response.Body, size+1), counter(func(more int) {
			if n += int64(more); moved != nil {
				moved(n)
			}
		}))
		_, err = io.Copy(into, counted)
		switch {
		case into.err != nil:
			return into.err
		case err == nil && (n != size || [32]byte(digest.Sum(nil)) != sum):
			return c.wrap(fmt.Errorf("it sends another content than the one with the SHA-256 %x", sum[:8]), "its file of it may be spoilt, and is mended then: try again in a minute, or ask another node")
		case err == nil:
			return nil
		}
		err = c.broken(err)
	}
	if context.Cause(ctx) == context.DeadlineExceeded {
		err = c.broken(context.DeadlineExceeded)
	}
	return err
}

// counter is told of octets that pass.
type counter func(int)

func (c counter) Write(b []byte) (int, error) {
	c(len(b))
	return len(b), nil
}

// uploading remembers the error of what is read, to tell it from one of the connection.
type uploading struct {
	r     io.Reader
	n     int64
	moved func(int64)
	err   error
}

// Read is that of io.Reader.
func (u *uploading) Read(b []byte) (int, error) {
	n, err := u.r.Read(b)
	u.n += int64(n)
	u.moved(u.n)
	if err != nil && err != io.EOF {
		u.err = err
	}
	return n, err
}
