package settings

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ananas-edge/ananas/internal/strictyaml"
)

// Open reads and parses the file of that name.
func Open(name string) (*File, error) {
	data, err := readFile(name, strictyaml.MaxSize)
	if err != nil {
		return nil, &strictyaml.Errors{List: []*strictyaml.Error{{Err: fmt.Errorf("reading settings: %w", err), Hint: hintRead(err)}}}
	}
	return Parse(name, data)
}

// hintRead says what to do where a file can't be read.
func hintRead(err error) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "name a file that is there"
	case errors.Is(err, fs.ErrPermission):
		return "give this user the right to read it"
	case errors.Is(err, syscall.EISDIR):
		return "name the file in that folder, such as ananas.yaml"
	case errors.Is(err, errTooLarge):
		return "settings are text of some kilobytes: is it the right file?"
	}
	return ""
}

// Parse decodes data, the content of the file of that name, over the defaults. The files that it names are relative to its
// folder; those of the part
// `settings` are read by [File.Compile]. The error is a [*strictyaml.Errors].
func Parse(name string, data []byte) (*File, error) {
	f := Default()
	f.name = name
	doc, err := strictyaml.Decode(name, data, f)
	f.doc = doc
	if err != nil {
		return nil, err
	}
	if err := doc.Locate("node", f.Node.check()); err != nil {
		return nil, err
	}
	f.Node.Data, f.Node.Testing.OffsetFile = f.Path(f.Node.Data), f.Path(f.Node.Testing.OffsetFile)
	return f, nil
}

// check finds what is wrong with the values of the part `node` and can be seen without touching the machine.
func (n *Node) check() error {
	var e strictyaml.Errors
	if i := strings.IndexFunc(n.Name, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-_.", r))
	}); i >= 0 || len(n.Name) > maxNodeName {
		e.Addf("name", fmt.Sprintf("use up to %d letters, digits, dots, hyphens and underscores", maxNodeName), "%q can not be the name of a node", n.Name)
	}
	if n.Data == "" {
		e.Addf("data", "name a folder; it is made if it is not there", "is empty")
	}
	if n.Limits.TCPPerClient > n.Limits.TCPConnections {
		e.Addf("limits.tcp_per_client", "", "%d is more than tcp_connections, which is %d", n.Limits.TCPPerClient, n.Limits.TCPConnections)
	}
	seen := make(map[netip.AddrPort]string)
	if a := n.Listen.Admin; a.IsValid() && a.Port() != 0 {
		seen[a] = "listen.admin"
	}
	for i, a := range n.Listen.DNS {
		path := fmt.Sprintf("listen.dns[%d]", i)
		if other, ok := seen[a]; ok {
			e.Addf(path, "remove one of the two, or change a port", "%v is taken already, by node.%s", a, other)
		}
		if a.Port() != 0 {
			seen[a] = path
		}
		if a.Addr().IsMulticast() {
			e.Addf(path, "", "%v is a multicast address", a.Addr())
		}
	}
	return e.OrNil()
}

// maxNodeName is the length of a DNS label, in octets, which is what a host's own name is.
const maxNodeName = 63

// Name returns the name of the file as it was given; "" for [Default].
func (f *File) Name() string { return f.name }

// Path returns what the file means when it names a file: relative names are relative to its folder. Those of the part `node` are
// kept so already.
func (f *File) Path(name string) string {
	if dir := filepath.Dir(f.name); name != "" && !filepath.IsAbs(name) && dir != "." {
		return filepath.Join(dir, name)
	}
	return name
}

// maxNamedFile bounds the files that settings name, in octets: ten thousand trust anchors of 400 octets.
const maxNamedFile = 4 << 20

// readNamed reads a file that f names.
func (f *File) readNamed(name string) ([]byte, error) { return readFile(f.Path(name), maxNamedFile) }

var errTooLarge = errors.New("is too large")

// readFile reads a file of at most limit octets.
func readFile(name string, limit int64) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%s %w: more than %d octets", name, errTooLarge, limit)
	}
	return data, nil
}
