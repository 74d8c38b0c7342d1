//go:build linux

package interop

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// startServer writes the server's configuration into a folder of its own and starts it in the foreground.
func (w *world) startServer(s *server) error {
	dir := filepath.Join(w.dir, s.name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	conf := filepath.Join(dir, "conf")
	var text string
	var args []string
	switch s.program {
	case "nsd":
		text, args = s.nsd(dir), []string{"-d", "-c", conf}
	case "named":
		text, args = s.named(dir), []string{"-g", "-n", "1", "-c", conf}
	case "knotd":
		text, args = s.knotd(dir), []string{"-c", conf}
	default:
		return fmt.Errorf("server %q: program %q is none of nsd, named, knotd", s.name, s.program)
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	exe, err := w.program(s.program)
	if err != nil {
		return err
	}
	s.process, err = startProcess(s.name, filepath.Join(dir, "log"), append([]string{exe}, args...)...)
	return err
}

// program copies an installed program into the world's folder. AppArmor, on a Debian machine, knows the installed path and forbids it to
// read files elsewhere than in its own folders.
func (w *world) program(name string) (string, error) {
	to := filepath.Join(w.dir, "bin", name)
	if _, err := os.Stat(to); err == nil {
		return to, nil
	}
	from, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return "", err
	}
	r, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer r.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return "", err
	}
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return "", err
	}
	return to, f.Close()
}

func (s *server) nsd(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
	server-count: 1
	username: ""
	chroot: ""
	database: ""
	zonesdir: %[1]q
	zonelistfile: "%[1]s/zone.list"
	xfrdfile: "%[1]s/xfrd.state"
	xfrdir: %[1]q
	pidfile: "%[1]s/pid"
	rrl-ratelimit: 0
	rrl-whitelist-ratelimit: 0
remote-control:
	control-enable: no
server:
`, dir)
	for _, a := range s.listen {
		fmt.Fprintf(&b, "\tip-address: %v@%d\n", a.Addr(), a.Port())
	}
	for _, z := range s.zones {
		fmt.Fprintf(&b, "zone:\n\tname: %q\n\tzonefile: %q\n", z.name, z.file)
		if s.transfers {
			b.WriteString("\tprovide-xfr: 0.0.0.0/0 NOKEY\n")
		}
	}
	return b.String()
}

func (s *server) named(dir string) string {
	var v4, v6 strings.Builder
	for _, a := range s.listen {
		if a.Addr().Is6() {
			fmt.Fprintf(&v6, "%v; ", a.Addr())
		} else {
			fmt.Fprintf(&v4, "%v; ", a.Addr())
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, `options {
	directory "%s";
	pid-file none;
	lock-file none;
	session-keyfile none;
	recursion no;
	dnssec-validation no;
	allow-query { any; };
	allow-transfer { %s; };
	notify no;
	listen-on { %s};
	listen-on-v6 { %s};
`, dir, map[bool]string{true: "any", false: "none"}[s.transfers], v4.String(), v6.String())
	if s.dnstap != "" {
		fmt.Fprintf(&b, "\tdnstap { client; auth; };\n\tdnstap-output file %q;\n", s.dnstap)
	}
	b.WriteString("};\ncontrols { };\n")
	for _, z := range s.zones {
		fmt.Fprintf(&b, "zone %q { type primary; file %q; };\n", z.name, z.file)
	}
	return b.String()
}

func (s *server) knotd(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `server:
  rundir: %[1]q
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
`, dir)
	for _, a := range s.listen {
		fmt.Fprintf(&b, "  listen: %v@%d\n", a.Addr(), a.Port())
	}
	fmt.Fprintf(&b, `log:
  - target: stderr
    any: info
control:
  listen: "control.sock"
database:
  storage: %[1]q
acl:
  - id: everybody
    action: transfer
template:
  - id: default
    storage: %[1]q
    journal-content: none
    zonefile-load: whole
    zonefile-sync: -1
zone:
`, dir)
	for _, z := range s.zones {
		fmt.Fprintf(&b, "  - domain: %q\n    file: %q\n", z.name, z.file)
		if s.transfers {
			b.WriteString("    acl: everybody\n")
		}
	}
	return b.String()
}
