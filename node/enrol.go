package node

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/ananas-edge/ananas/internal/wholefile"
	"github.com/ananas-edge/ananas/store"
	"github.com/ananas-edge/ananas/store/etcd"
	"github.com/ananas-edge/ananas/store/identity"
)

// A node that has no certificate of a store, or one that has expired, asks for one on a connection of identity.ProtocolEnrol: one request, one answer.
//
//	request  kind (1 octet: j, m or r), length (4 octets, little endian), identity.JoinRequest or identity.RenewRequest
//	answer   kind (1 octet: y or n), length, identity.JoinReply, or the certificate in DER, or a refusal as JSON
const (
	askJoin  = 'j'
	askPeer  = 'm' // to join as a member of the root: a peerRequest, answered by a peerReply
	askRenew = 'r'
	granted  = 'y'
	denied   = 'n'

	// enrolTime is how long a whole exchange may take: a commit with fsync, and a root whose leader has just died.
	enrolTime = 9 * time.Second
)

// denial is a refusal on its way.
type denial struct {
	Text string `json:"text"`
	Mend string `json:"hint"`

	Again bool `json:"again,omitempty"` // it may go well in a moment
}

func (d denial) Error() string { return d.Text }

// Hint says what to do.
func (d denial) Hint() string { return d.Mend }

func writeEnrol(w io.Writer, kind byte, body []byte) error {
	b := binary.LittleEndian.AppendUint32([]byte{kind}, uint32(len(body)))
	_, err := w.Write(append(b, body...))
	return err
}

func readEnrol(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.LittleEndian.Uint32(head[1:])
	if n > identity.MaxMessage {
		return 0, nil, fmt.Errorf("a message has %d octets, more than %d", n, identity.MaxMessage)
	}
	body = make([]byte, n)
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

// answerEnrol answers the one request of a connection, and closes it.
func (s *shared) answerEnrol(conn net.Conn) {
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(enrolTime))
	ctx, cancel := context.WithTimeout(s.ctx, enrolTime)
	defer cancel()
	kind, body, err := readEnrol(conn)
	if err != nil {
		return
	}
	answer, err := s.enrolled(ctx, kind, body)
	if err != nil {
		d := denialOf(err)
		args := []any{"from", conn.RemoteAddr().String(), "error", err}
		var r *identity.Refusal
		if errors.As(err, &r) && r.Detail != "" {
			args = append(args, "detail", r.Detail)
		}
		s.n.log.Warn("a request for a certificate was refused", args...)
		text, _ := json.Marshal(d) // two texts
		writeEnrol(conn, denied, text)
		return
	}
	writeEnrol(conn, granted, answer)
}

// denialOf is what is told to somebody who has shown no certificate: what is his fault, and of all else nothing.
func denialOf(err error) denial {
	var r *identity.Refusal
	var h hinted
	var passed denial
	switch {
	case errors.As(err, &passed):
		return passed // of a node further up
	case errors.As(err, &r):
		return denial{Text: r.Error(), Mend: r.Hint()}
	case errors.As(err, &h):
		return denial{Text: h.Error(), Mend: h.Hint()}
	}
	return denial{Again: true, Text: "the store can't decide about that now", Mend: "try again; the log of the member of the root that was asked says why"}
}

// enrolled decides a request, or hands it up on a node that is no member of the root.
func (s *shared) enrolled(ctx context.Context, kind byte, body []byte) ([]byte, error) {
	if s.writer == nil {
		if kind != askRenew {
			return nil, hinted{errors.New("this node is no member of the root, and can not let another join"), "name the address of a member in node.store.join"}
		}
		return s.askUp(ctx, kind, body)
	}
	switch kind {
	case askJoin:
		reply, _, err := s.admit(ctx, body, identity.Follower)
		return reply, err
	case askPeer:
		return s.admitPeer(ctx, body)
	case askRenew:
		return s.renew(ctx, body)
	}
	return nil, hinted{fmt.Errorf("there is no request of kind %q", kind), "the other side is of another release"}
}

// admit lets a node join: the token is used up, and the node is known, in one commit. A token for another role than the node is to have is not used up.
func (s *shared) admit(ctx context.Context, body []byte, role identity.Role) ([]byte, *identity.Grant, error) {
	r, err := identity.ParseJoinRequest(body)
	if err != nil {
		return nil, nil, err
	}
	authority, err := s.who.Authority()
	if err != nil {
		return nil, nil, err
	}
	key, err := s.who.StoreKey()
	if err != nil {
		return nil, nil, err
	}
	var grant *identity.Grant
	_, err = s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: r.Name, Reason: "joins", Make: func(v store.View, p *store.Proposal) error {
		var err error
		if grant, err = identity.Redeem(v, authority, s.who.Bundle(), key, r, s.n.clock.Wall(), rand.Reader); err != nil {
			return err
		}
		if grant.Role != role {
			return errOtherRole(role)
		}
		p.Edits = grant.Edits
		return nil
	}})
	if err != nil {
		return nil, nil, err
	}
	s.n.log.Info("a node has joined the store", "name", grant.Name, "role", grant.Role, "labels", fmt.Sprint(grant.Labels))
	return grant.Reply.Encode(), grant, nil
}

// errOtherRole says that a token is not for the role that a node is to have by its file.
func errOtherRole(role identity.Role) error {
	if role == identity.Root {
		return hinted{errors.New("the token is for a follower, and this node has node.store.root in its file"), "make one with ananas root token --root, or take node.store.root out of the file"}
	}
	return hinted{errors.New("the token is for a member of the root, and this node has no node.store.root in its file"), "make one with ananas root token, or set node.store.root"}
}

// peerRequest is what a node asks that is to be a member of the root.
type peerRequest struct {
	Join []byte `json:"join"` // an identity.JoinRequest
	URL  string `json:"url"`  // by which the other members reach it
}

// peerReply is what it gets: the members that its etcd begins with, itself among them.
type peerReply struct {
	Join    []byte        `json:"join"` // an identity.JoinReply
	Members []etcd.Member `json:"members"`
}

// admitPeer lets a node join as a member of the root. It copies first, and gets its vote when it has everything. A request that is repeated, since an answer was lost, gets the same one.
func (s *shared) admitPeer(ctx context.Context, body []byte) ([]byte, error) {
	var r peerRequest
	if err := json.Unmarshal(body, &r); err != nil {
		return nil, hinted{errors.New("the request to join can't be read"), "both sides have to be of releases that know each other"}
	}
	reply, grant, err := s.admit(ctx, r.Join, identity.Root)
	if err != nil {
		return nil, err
	}
	members, err := s.etcd.AddLearner(ctx, grant.Name, r.URL)
	if err != nil {
		return nil, err
	}
	return json.Marshal(peerReply{reply, members})
}

// renew gives a node its next certificate.
func (s *shared) renew(ctx context.Context, body []byte) ([]byte, error) {
	r, err := identity.ParseRenewRequest(body)
	if err != nil {
		return nil, err
	}
	authority, err := s.who.Authority()
	if err != nil {
		return nil, err
	}
	var out *identity.Renewal
	_, err = s.writer.Commit(ctx, store.Proposal{Kind: store.KindNode, Author: s.name, Reason: "a node has renewed its certificate", Make: func(v store.View, p *store.Proposal) error {
		var err error
		if out, err = identity.Renew(v, authority, s.who.Bundle(), r, s.n.clock.Wall(), rand.Reader); err != nil {
			return err
		}
		p.Edits = out.Edits
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return out.Certificate, nil
}

// askUp asks the nodes that this one follows, one after the other, for a certificate: for this node, or for one below it.
func (s *shared) askUp(ctx context.Context, kind byte, body []byte) ([]byte, error) {
	return s.ask(ctx, kind, body, s.who.EnrolConfig(s.n.clock.Wall))
}

func (s *shared) ask(ctx context.Context, kind byte, body []byte, config *tls.Config) ([]byte, error) {
	var errs []error
	for _, address := range s.n.began.Node.Store.Join {
		answer, err := askOne(ctx, address, config, kind, body)
		var no denial
		if err == nil || errors.As(err, &no) {
			return answer, err
		}
		errs = append(errs, fmt.Errorf("asking %v: %w", address, err))
	}
	return nil, errors.Join(errs...)
}

func askOne(ctx context.Context, address netip.AddrPort, config *tls.Config, kind byte, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, enrolTime)
	defer cancel()
	d := tls.Dialer{Config: config}
	conn, err := d.DialContext(ctx, "tcp", address.String())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := writeEnrol(conn, kind, body); err != nil {
		return nil, err
	}
	kind, answer, err := readEnrol(conn)
	if err != nil {
		return nil, err
	}
	if kind == granted {
		return answer, nil
	}
	var no denial
	if err := json.Unmarshal(answer, &no); err != nil {
		return nil, fmt.Errorf("reading a refusal: %w", err)
	}
	return nil, no
}

// join has this node join the store with a token. It is repeated with the same key until an answer has come, since the token may be used up already.
func (s *shared) join(ctx context.Context, token identity.Token) error {
	request, err := s.who.Join(token, s.name, rand.Reader)
	if err != nil {
		return err
	}
	config := identity.JoinConfig(token.Authority, s.n.clock.Wall)
	own := s.n.began.Node
	if !own.Store.Root.IsValid() {
		answer, err := s.ask(ctx, askJoin, request.Encode(), config)
		if err != nil {
			return err
		}
		return s.acceptJoin(token, answer)
	}
	body, err := json.Marshal(peerRequest{request.Encode(), peerURL(own)})
	if err != nil {
		return err
	}
	answer, err := s.ask(ctx, askPeer, body, config)
	if err != nil {
		return err
	}
	var reply peerReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return fmt.Errorf("reading the answer of the root: %w", err)
	}
	// The members come first: who is somebody and does not know them can't start.
	if err := s.keepMembers(reply.Members); err != nil {
		return err
	}
	return s.acceptJoin(token, reply.Join)
}

func (s *shared) acceptJoin(token identity.Token, answer []byte) error {
	reply, err := identity.ParseJoinReply(answer)
	if err != nil {
		return err
	}
	if err := s.who.Accept(token.Authority, s.name, reply, s.n.clock.Wall()); err != nil {
		return err
	}
	if err := wholefile.Write(wholefile.OS{}, filepath.Join(s.folder, tokenFile), []byte(token.ID.String())); err != nil {
		s.n.log.Warn("the token that this node joined with could not be noted", "error", err)
	}
	return nil
}

// renewRetry is how often a renewal is tried that has failed: 30 days are left for it, and a root that many nodes ask at once gets an hour for all.
const renewRetry = time.Hour

// keepCertificate renews this node's certificate when it is time, until ctx is done.
func (s *shared) keepCertificate(ctx context.Context) {
	for {
		wait := s.who.RenewAt().Sub(s.n.clock.Wall())
		if !sleep(ctx, min(max(wait, time.Second), renewRetry)) {
			return
		}
		if s.n.clock.Wall().Before(s.who.RenewAt()) {
			continue
		}
		if err := s.renewOwn(ctx); err != nil {
			s.n.log.Warn("this node's certificate could not be renewed; it is tried again", "until", s.who.Certificate().NotAfter, "error", err)
			if !sleep(ctx, renewRetry) {
				return
			}
			continue
		}
		s.n.log.Info("this node's certificate was renewed", "until", s.who.Certificate().NotAfter)
	}
}

func (s *shared) renewOwn(ctx context.Context) error {
	request, err := s.who.Renewal(false, rand.Reader)
	if err != nil {
		return err
	}
	var der []byte
	if s.writer != nil {
		der, err = s.renew(ctx, request.Encode())
	} else {
		der, err = s.askUp(ctx, askRenew, request.Encode())
	}
	if err != nil {
		return err
	}
	return s.who.Renewed(der, s.n.clock.Wall())
}
