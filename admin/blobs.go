package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// Blob is a content that files of settings name, and that is too large for a request with them.
type Blob struct {
	SHA256 string `json:"sha256"` // in lowercase hexadecimal
	Size   int64  `json:"size"`   // octets
}

// blobPath and contentPath are the routes of blobs, as the description has them; blobPrefix is what their paths begin with.
const (
	blobPrefix  = "/api/v1/blobs/"
	blobPath    = blobPrefix + "{sha256}"
	contentEnd  = "/content"
	contentPath = blobPath + contentEnd
)

// blobRoute is the route of a path that begins with blobPrefix.
func blobRoute(path string) string {
	if strings.HasSuffix(path, contentEnd) {
		return contentPath
	}
	return blobPath
}

// digestOf reads the digest in the path of a blob, or of its content.
func digestOf(r *http.Request) (sum [32]byte, p *Problem) {
	text := strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, blobPrefix), contentEnd)
	if len(text) == hex.EncodedLen(len(sum)) && strings.ToLower(text) == text { // the length first: what is longer does not fit, and hex would write it all
		if _, err := hex.Decode(sum[:], []byte(text)); err == nil {
			return sum, nil
		}
	}
	return sum, problemParameter.with("the digest in the path is "+quote(text), "it is the SHA-256 of the content, 64 digits of lowercase hexadecimal")
}

// blob tells whether a blob is here.
func (s *Server) blob(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("blobs", "")
	}
	sum, p := digestOf(r)
	if p != nil {
		return p
	}
	size, err := s.config.Settings.HasBlob(r.Context(), sum)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	writeJSON(w, http.StatusOK, Blob{hex.EncodeToString(sum[:]), size})
	return nil
}

// blobContent streams a blob. Where it turns out to be spoilt the connection is cut off behind the last octet, which who reads it may not see: he has the SHA-256, and holds what came against that.
func (s *Server) blobContent(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("blobs", "")
	}
	sum, p := digestOf(r)
	if p != nil {
		return p
	}
	leave, p := s.enter(s.downloads, "downloads")
	if p != nil {
		return p
	}
	defer leave()
	content, size, err := s.config.Settings.ReadBlob(r.Context(), sum)
	if err != nil {
		return refusal(problemFailed, r.Context(), err)
	}
	defer content.Close()
	w.Header().Set("Content-Type", octets)
	w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	if r.Method == http.MethodHead {
		return nil
	}
	out := &download{w: w, control: http.NewResponseController(w), until: time.Now().Add(downloadTimeout), closing: s.closing}
	if _, err = io.CopyBuffer(out, struct{ io.Reader }{content}, make([]byte, downloadPiece)); err == nil {
		return nil
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		s.metrics.limits.With("download_time").Inc()
	}
	return refusal(problemFailed, r.Context(), fmt.Errorf("sending the content of a file: %w", err))
}

// download is a blob as an answer, which may take long as long as it is taken.
type download struct {
	w       io.Writer
	control *http.ResponseController
	until   time.Time
	closing context.Context // done when the node stops
}

// downloadPiece is how much of a blob has to be taken within writeTimeout, in octets: 8.5 KiB/s, or the whole in time by downloadTimeout.
const downloadPiece = 256 << 10

// Write is that of io.Writer; it is called with pieces.
func (d *download) Write(b []byte) (int, error) {
	if d.closing.Err() != nil {
		return 0, errors.New("the node is stopping")
	}
	by := time.Now().Add(writeTimeout)
	if d.until.Before(by) {
		by = d.until
	}
	d.control.SetWriteDeadline(by) // a recorder in a test has none
	return d.w.Write(b)
}

// putBlob takes a blob in. It is there when this is answered with success, and not before.
func (s *Server) putBlob(w http.ResponseWriter, r *http.Request) *Problem {
	if s.config.Settings == nil {
		return problemMissing.with("blobs", "")
	}
	sum, p := digestOf(r)
	if p != nil {
		return p
	}
	if media := r.Header.Get("Content-Type"); media != octets {
		return problemMedia.with("it is "+quote(media), "send Content-Type: "+octets)
	}
	if r.ContentLength > MaxBlobBytes {
		s.metrics.limits.With("body").Inc()
		return problemBodySize.with(fmt.Sprintf("it has %d bytes, at most %d", r.ContentLength, int64(MaxBlobBytes)), "split the file")
	}
	leave, p := s.enter(s.uploads, "uploads")
	if p != nil {
		return p
	}
	defer leave()
	in := &upload{r: r.Body, control: http.NewResponseController(w), until: time.Now().Add(uploadTimeout)}
	in.control.SetWriteDeadline(in.until.Add(applyTimeout + writeTimeout)) // a recorder in a test has none
	err := s.config.Settings.PutBlob(r.Context(), sum, in)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		s.metrics.limits.With("body").Inc()
		return problemBodySize.with(fmt.Sprintf("it is larger than %d bytes", large.Limit), "split the file")
	case errors.Is(in.err, os.ErrDeadlineExceeded):
		s.metrics.limits.With("upload_time").Inc()
		return problemTimeout.with(fmt.Sprintf("%d bytes have come; %d have to come within %v, and all within %v", in.n, uploadPiece, readTimeout, uploadTimeout), "send it again, on a better line; nothing was kept")
	case in.err != nil:
		return problemBody.with(fmt.Sprintf("it broke off after %d bytes: %v", in.n, in.err), "send it again; nothing was kept")
	case err != nil:
		return refusal(problemFailed, r.Context(), err)
	}
	writeJSON(w, http.StatusOK, Blob{hex.EncodeToString(sum[:]), in.n})
	return nil
}

// octets is the type of what is no text.
const octets = "application/octet-stream"

// upload is a body that may take long, as long as it comes.
type upload struct {
	r       io.Reader
	control *http.ResponseController
	until   time.Time
	n       int64
	next    int64 // at how many octets the next piece begins, which has readTimeout again
	err     error // other than its end, and that it is too long
}

// uploadPiece is how much of a body has to come within readTimeout, in octets: 25 KiB/s, or the whole in time by uploadTimeout.
const uploadPiece = 256 << 10

// Read is that of io.Reader.
func (u *upload) Read(b []byte) (int, error) {
	if u.n == u.next {
		by := time.Now().Add(readTimeout)
		if u.until.Before(by) {
			by = u.until
		}
		u.control.SetReadDeadline(by)
		u.next += uploadPiece
	}
	b = b[:min(int64(len(b)), u.next-u.n)]
	n, err := u.r.Read(b)
	u.n += int64(n)
	if err == io.EOF { // what is done with it may take longer, and meanwhile the connection is read to see whether its client is there still
		u.control.SetReadDeadline(time.Time{})
	}
	var large *http.MaxBytesError
	if err != nil && err != io.EOF && !errors.As(err, &large) {
		u.err = err
	}
	return n, err
}
