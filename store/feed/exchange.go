package feed

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// Exchange is a connection for blobs alone: members of a root hand each other what a commit is about to name, and a node that has lost one gets it again. It belongs to one
// goroutine.
type Exchange struct {
	conn net.Conn
	r    reader
	stop func() bool
}

// NewExchange begins an exchange over a connection, which is closed when ctx is done.
func NewExchange(ctx context.Context, conn net.Conn) (*Exchange, error) {
	x := &Exchange{conn: conn, r: reader{r: bufio.NewReaderSize(conn, 64<<10), from: down}}
	x.stop = context.AfterFunc(ctx, func() { conn.Close() })
	t, body, err := x.ask(frame(typeHello, func(b []byte) []byte {
		return appendHello(b, hello{low: protocolLow, high: protocolHigh, wants: wantsBlobs})
	}), handshakeTime)
	if err == nil && t != typeWelcome {
		err = &protocolError{"it does not begin with a welcome"}
	}
	if err == nil {
		_, err = parseWelcome(body)
	}
	if err != nil {
		x.Close()
		return nil, err
	}
	return x, nil
}

// Close ends it.
func (x *Exchange) Close() {
	x.stop()
	x.conn.Close()
}

// ask sends a frame, and returns the one that answers it.
func (x *Exchange) ask(b []byte, within time.Duration) (frameType, []byte, error) {
	x.conn.SetDeadline(time.Now().Add(within))
	if _, err := x.conn.Write(b); err != nil {
		return 0, nil, x.lastWord(err)
	}
	t, body, err := x.r.next()
	if err == nil && t == typeGoodbye {
		var g *Goodbye
		if g, err = parseGoodbye(body); err == nil {
			err = g
		}
	}
	return t, body, err
}

// lastWord returns what the other side has said, where it has ended the connection before it read what was written.
func (x *Exchange) lastWord(err error) error {
	if t, body, failed := x.r.next(); failed == nil && t == typeGoodbye {
		if g, wrong := parseGoodbye(body); wrong == nil {
			return g
		}
	}
	return err
}

// Fetch gets a blob. It is an *AbsentError where the other side does not have it.
func (x *Exchange) Fetch(ctx context.Context, sum [32]byte, into Blobs) error {
	return fetchBlob(ctx, into, sum, func(_ context.Context, a blobAsk) (blobPart, error) {
		t, body, err := x.ask(frame(typeBlobAsk, func(b []byte) []byte { return appendBlobAsk(b, a) }), partTime)
		if err != nil {
			return blobPart{}, err
		}
		if t != typeBlobPart {
			return blobPart{}, &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
		}
		p, err := parseBlobPart(body)
		switch {
		case err != nil:
			return p, &protocolError{err.Error()}
		case p.sum != a.sum || p.offset != a.offset:
			return p, &protocolError{"a part that nobody has asked for"}
		case p.missing:
			return p, &AbsentError{sum}
		}
		return p, nil
	})
}

// Put hands a blob over. When it returns without an error, the other side has it on its disk.
func (x *Exchange) Put(sum [32]byte, from Blobs) error {
	for offset := uint64(0); ; {
		data, size, ok, err := from.Part(sum, int64(offset), BlobChunk)
		if err != nil {
			return err
		}
		if !ok {
			return errors.New("the blob is not here any more")
		}
		part := blobPart{sum: sum, offset: offset, size: uint64(size), data: data}
		t, body, err := x.ask(frame(typeBlobPut, func(b []byte) []byte { return appendBlobPart(b, part) }), partTime)
		if err != nil {
			return err
		}
		if t != typeBlobTaken {
			return &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
		}
		taken, err := parseBlobTaken(body)
		switch {
		case err != nil:
			return &protocolError{err.Error()}
		case taken.sum == sum && taken.whole:
			return nil
		case taken.sum != sum || taken.offset != offset+uint64(len(data)) || taken.offset >= uint64(size):
			return &protocolError{"it says that it has another part than was put"}
		}
		offset = taken.offset
	}
}

// enterExchange makes room for one more exchange, until its context is done.
func (s *Source) enterExchange(ses *session) *Goodbye {
	select {
	case s.exchanges <- struct{}{}:
		context.AfterFunc(ses.ctx, func() { <-s.exchanges })
		return nil
	default:
	}
	s.m.limits.With("exchanges").Inc()
	return &Goodbye{Code: CodeBusy, Text: fmt.Sprintf("%d other nodes exchange blobs with this one, which is the most", maxExchanges), Mend: "it is tried again"}
}

// exchange serves the other side of an [Exchange] until it ends.
func (ses *session) exchange() {
	defer ses.cancel()
	stop := context.AfterFunc(ses.s.ctx, func() { ses.conn.Close() })
	defer stop()
	var in incomingBlob
	defer in.abort()
	for {
		ses.conn.SetReadDeadline(time.Now().Add(readTime))
		t, body, err := ses.r.next()
		if err == nil {
			err = ses.answer(t, body, &in)
		}
		var p *protocolError
		var g *Goodbye
		switch {
		case err == nil:
			continue
		case errors.As(err, &p), errors.As(err, &g):
			ses.part(goodbyeOf(err, CodeProtocol))
		}
		return
	}
}

// incomingBlob is one that is being put.
type incomingBlob struct {
	w      BlobWriter // nil: none is
	sum    [32]byte
	offset uint64
}

func (in *incomingBlob) abort() {
	if in.w != nil {
		in.w.Abort()
		in.w = nil
	}
}

// answer answers a frame of an exchange.
func (ses *session) answer(t frameType, body []byte, in *incomingBlob) error {
	switch t {
	case typeBlobAsk:
		a, err := parseBlobAsk(body)
		if err != nil {
			return &protocolError{err.Error()}
		}
		return ses.write(frame(typeBlobPart, func(b []byte) []byte { return appendBlobPart(b, ses.s.blobPart(a)) }))
	case typeBlobPut:
		p, err := parseBlobPart(body)
		if err != nil {
			return &protocolError{err.Error()}
		}
		taken, err := ses.takePart(p, in)
		if err != nil {
			in.abort()
			return err
		}
		return ses.write(frame(typeBlobTaken, func(b []byte) []byte { return appendBlobTaken(b, taken) }))
	}
	return &protocolError{fmt.Sprintf("a frame of type %d has no business here", t)}
}

// takePart takes a part of a blob that is put here.
func (ses *session) takePart(p blobPart, in *incomingBlob) (blobTaken, error) {
	taken := blobTaken{sum: p.sum}
	c := ses.s.c
	if p.offset == 0 {
		in.abort()
		peer, err := c.Gate.Recheck(ses.peer)
		if err != nil {
			return taken, goodbyeOf(err, CodeRefused)
		}
		if c.Blobs == nil || c.MayPut == nil || !c.MayPut(peer) {
			return taken, &Goodbye{Code: CodeRefused, Text: fmt.Sprintf("%q may not put blobs here", peer.Name), Mend: "members of the root put them on other members, and nobody else does"}
		}
		if taken.whole = c.Blobs.Has(p.sum); taken.whole {
			return taken, nil
		}
		w, err := c.Blobs.Begin(p.sum)
		if err != nil {
			return taken, goodbyeOf(err, CodeFailed)
		}
		*in = incomingBlob{w: w, sum: p.sum}
	}
	if in.w == nil || p.missing || p.sum != in.sum || p.offset != in.offset {
		return taken, &protocolError{"a part of a blob comes that does not follow"}
	}
	if _, err := in.w.Write(p.data); err != nil {
		return taken, goodbyeOf(err, CodeFailed)
	}
	in.offset += uint64(len(p.data))
	if taken.offset = in.offset; in.offset < p.size {
		return taken, nil
	}
	err := in.w.Commit()
	in.w = nil
	if err != nil {
		return taken, goodbyeOf(err, CodeFailed)
	}
	taken.whole = true
	return taken, nil
}

// blobPart answers a request for a part of a blob.
func (s *Source) blobPart(a blobAsk) blobPart {
	part := blobPart{missing: true, sum: a.sum, offset: a.offset}
	if s.c.Blobs == nil || a.offset >= 1<<62 {
		return part
	}
	data, size, ok, err := s.c.Blobs.Part(a.sum, int64(a.offset), BlobChunk)
	if err != nil {
		s.c.Log.Warn("a part of a blob could not be read", "error", err)
	} else if ok {
		part.missing, part.data, part.size = false, data, uint64(size)
		s.m.blobs.Add(uint64(len(data)))
	}
	return part
}
