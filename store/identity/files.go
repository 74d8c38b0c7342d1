package identity

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/ananas-edge/ananas/internal/wholefile"
)

// The files of an identity, in the folder `store` of the data folder. node.pem is the truth of who this node is: it has the node's private key, its
// certificate, and the authorities that it believes, and is replaced as a whole, so that no kill leaves a key without its certificate. etcd takes it as
// certificate and key both.
const (
	NodeFile      = "node.pem"  // who this node is
	NextFile      = "node.next" // a key whose certificate was asked for and has not come
	BundleFile    = "ca.crt"    // the authorities, once more, for etcd; made anew from node.pem
	AuthorityFile = "ca.key"    // key of the authority; on members of the root
	StoreKeyFile  = "store.key" // the store's key; on members of the root
	NodeKeyFile   = "node.key"  // a key that never leaves this node
)

// maxFile is the length of a file in octets: all authorities and a certificate of the largest size in PEM, and a key.
const maxFile = 64 << 10

type folder struct {
	disk wholefile.Disk
	dir  string
}

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

func (f folder) write(name string, data []byte) error {
	if err := wholefile.Write(f.disk, f.path(name), data); err != nil {
		return wrong("is there room, and may this user write there?", "writing %q: %w", f.path(name), err)
	}
	return nil
}

// read reads a file; nil if there is none. All but ca.crt are for their owner alone.
func (f folder) read(name string) ([]byte, error) {
	r, err := f.disk.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, wrong("run this as the user that runs the node", "opening one of the node's files: %w", err)
	}
	defer r.Close()
	if s, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok && name != BundleFile {
		info, err := s.Stat()
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", f.path(name), err)
		}
		if mode := info.Mode(); !mode.IsRegular() {
			return nil, wrong("remove it", "reading %q: it is no regular file", f.path(name))
		} else if mode.Perm()&0o077 != 0 {
			return nil, wrong(fmt.Sprintf("chmod 600 %s; if others may have read it: `ananas root remove` for this node, and join again with a new token", f.path(name)),
				"reading %q: its mode is %04o: others than its owner may use it", f.path(name), mode.Perm())
		}
	}
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("it has more than %d octets", maxFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading %q: %w", f.path(name), err)
	}
	if b == nil {
		b = []byte{}
	}
	return b, nil
}

func (f folder) remove(name string) { f.disk.Remove(f.path(name)) }

func (f folder) damaged(name, mend string, err error) error {
	return wrong(mend, "reading %q: it is damaged: %w", f.path(name), err)
}

const (
	mendNode      = "put it back from a backup, or remove it and join again: `ananas root remove` for this node's name, then a new token"
	mendAuthority = "put it back from a backup or from another member of the root"
)

// readKey reads a key of 32 octets; zero if there is no file.
func (f folder) readKey(name, mend string) (Key, error) {
	b, err := f.read(name)
	if err != nil || b == nil {
		return Key{}, err
	}
	k, err := ParseKey(b)
	if err != nil {
		return Key{}, f.damaged(name, mend, err)
	}
	return k, nil
}

// credential is what a node shows, and believes. It is immutable.
type credential struct {
	key    crypto.Signer
	cert   *x509.Certificate
	bundle Bundle
	name   string

	feed  tls.Certificate
	enrol tls.Certificate // with the authorities, for who knows them by fingerprint only
}

func newCredential(key crypto.Signer, cert *x509.Certificate, b Bundle) (*credential, error) {
	name, err := b.authenticate(cert)
	if err != nil {
		return nil, err
	}
	if pub, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !pub.Equal(cert.PublicKey) {
		return nil, errors.New("the certificate is not for the private key")
	}
	c := &credential{key: key, cert: cert, bundle: b, name: name}
	c.feed = tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
	c.enrol = tls.Certificate{Certificate: append([][]byte{cert.Raw}, b.ders()...), PrivateKey: key, Leaf: cert}
	return c, nil
}

// encode writes the content of node.pem.
func (c *credential) encode() ([]byte, error) {
	b, err := encodeKey(c.key)
	if err != nil {
		return nil, err
	}
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: c.cert.Raw})...)
	return append(b, c.bundle.PEM()...), nil
}

func parseCredential(text []byte) (*credential, error) {
	var blocks [][]byte
	for i := 0; ; i++ {
		block, rest := pem.Decode(text)
		if block == nil {
			if len(bytes.TrimSpace(text)) > 0 {
				return nil, errors.New("it has more than keys and certificates in it, or its end is missing")
			}
			break
		}
		want := pemCertificate
		if i == 0 {
			want = pemKey
		}
		if block.Type != want || i > 1+maxAuthorities {
			return nil, fmt.Errorf("it has a block %q where it has none", clip(block.Type))
		}
		blocks, text = append(blocks, block.Bytes), rest
	}
	if len(blocks) < 3 {
		return nil, errors.New("it has not a private key, a certificate, and that of an authority")
	}
	key, err := parseKey(blocks[0])
	if err != nil {
		return nil, err
	}
	cert, err := parseCertificate(blocks[1])
	if err != nil {
		return nil, err
	}
	b, err := NewBundle(blocks[2:]...)
	if err != nil {
		return nil, err
	}
	return newCredential(key, cert, b)
}
