package sdk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// buildTime is how long a toolchain may take: Go's first build of its library for WebAssembly takes half a minute on a small machine, the others seconds.
const buildTime = 10 * time.Minute

// Build runs the toolchain, and returns the module. What the toolchain says of a mistake is in the error, whole.
func (f Folder) Build(ctx context.Context) ([]byte, error) {
	working, err := os.MkdirTemp("", "ananas-module-")
	if err != nil {
		return nil, fmt.Errorf("making a folder to build in: %w", err)
	}
	defer os.RemoveAll(working)
	ctx, cancel := context.WithTimeout(ctx, buildTime)
	defer cancel()
	out := filepath.Join(working, "module.wasm")
	run := map[Language]func(context.Context, string, string) error{C: f.buildC, Rust: f.buildRust, Go: f.buildGo, AssemblyScript: f.buildAssemblyScript}[f.Language]
	if err := run(ctx, working, out); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("reading what the toolchain made: %w", err)
	}
	return b, nil
}

// run runs a tool in the module's folder.
func (f Folder) run(ctx context.Context, env []string, name string, args ...string) error {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir = f.Dir
	c.Env = append(os.Environ(), env...)
	c.WaitDelay = time.Second
	said, err := c.CombinedOutput()
	if err == nil {
		return nil
	}
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("building the module: %s was stopped: %w", filepath.Base(name), cause)
	}
	return fmt.Errorf("building the module: %s: %w\n%s", filepath.Base(name), err, strings.TrimRight(string(said), "\n"))
}

// MissingError is that a toolchain is not there.
type MissingError struct {
	What string
	mend string
}

func (e *MissingError) Error() string { return "building the module: there is no " + e.What }

// Hint says how it is installed.
func (e *MissingError) Hint() string { return e.mend }

func missing(what, mend string) error { return &MissingError{what, mend} }

// The versions of LLVM that are looked for, where its tools have them in their names.
const newestLLVM, oldestLLVM = 22, 13

// llvm finds a tool by its name, or by its name with a version.
func llvm(name string) (string, bool) {
	if path, err := exec.LookPath(name); err == nil {
		return path, true
	}
	for v := newestLLVM; v >= oldestLLVM; v-- {
		if path, err := exec.LookPath(fmt.Sprintf("%s-%d", name, v)); err == nil {
			return path, true
		}
	}
	return "", false
}

// buildC compiles all of the folder's C files, without a library.
func (f Folder) buildC(ctx context.Context, working, out string) error {
	const mend = "on Debian: apt-get install clang-14 lld-14"
	clang, ok := llvm("clang")
	if !ok {
		return missing("clang", mend)
	}
	linker, ok := llvm("wasm-ld")
	if !ok {
		return missing("wasm-ld, the linker for WebAssembly", mend)
	}
	sources, err := filepath.Glob(filepath.Join(f.Dir, marks[C]))
	if err != nil {
		return fmt.Errorf("listing the C files: %w", err)
	}
	args := []string{"--no-entry", "--strip-all", "--stack-first", "-o", out} // the stack first: one that grows too large traps, and writes over nothing
	for _, source := range sources {
		name := filepath.Base(source)
		object := filepath.Join(working, name+".o")
		if err := f.run(ctx, nil, clang, "--target=wasm32", "-std=c11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-mbulk-memory", "-c", "-o", object, name); err != nil {
			return err
		}
		args = append(args, object)
	}
	// The linker itself: clang would have wasm-opt go over it, if some version of that is there.
	return f.run(ctx, nil, linker, args...)
}

// wasmTarget is Rust's name for WebAssembly without a system.
const wasmTarget = "wasm32-unknown-unknown"

// rustc finds a compiler that has Rust's library for WebAssembly: the first one of the path may be one that has not, before another one.
func rustc(ctx context.Context) (string, error) {
	candidates := []string{"/usr/bin/rustc"}
	if path, err := exec.LookPath("rustc"); err == nil {
		candidates = []string{path, "/usr/bin/rustc"}
	}
	for _, c := range candidates {
		at, err := exec.CommandContext(ctx, c, "--print", "target-libdir", "--target", wasmTarget).Output()
		if err != nil {
			continue
		}
		if found, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(at)), "libcore-*.rlib")); err == nil && len(found) > 0 {
			return c, nil
		}
	}
	return "", missing("rustc with the library for "+wasmTarget, "on Debian: apt-get install rustc libstd-rust-dev-wasm32 lld-14; with rustup: rustup target add "+wasmTarget)
}

// buildRust compiles the SDK's crate and the module's, with the compiler itself: there is nothing for cargo to fetch. A module with other crates is built with cargo, and its manifest written with --wasm.
func (f Folder) buildRust(ctx context.Context, working, out string) error {
	compiler, err := rustc(ctx)
	if err != nil {
		return err
	}
	common := slices.Clip([]string{"--edition", "2021", "--target", wasmTarget, "-C", "opt-level=3", "-C", "panic=abort", "-C", "target-feature=+bulk-memory"}) // appended to twice
	library := filepath.Join(working, "libananas.rlib")
	if err := f.run(ctx, nil, compiler, append(common, "--crate-type", "rlib", "--crate-name", "ananas", "--cfg", `feature="alloc"`, "-o", library, filepath.Join("ananas", "src", "lib.rs"))...); err != nil {
		return err
	}
	// A stack of 128 KiB: fuel bounds its depth, and the usual 1 MiB would be half of the memory that a module has.
	args := append(common, "--crate-type", "cdylib", "--crate-name", "plugin", "-C", "lto", "-C", "strip=symbols", "-C", "link-arg=-z", "-C", "link-arg=stack-size=131072",
		"--extern", "ananas="+library, "-o", out)
	if compiler == "/usr/bin/rustc" { // Debian's comes without the linker that others have
		if linker, ok := llvm("wasm-ld"); ok {
			args = append(args, "-C", "linker="+linker)
		} else if runtime.GOOS == "linux" {
			return missing("wasm-ld, the linker for WebAssembly", "on Debian: apt-get install lld-14")
		}
	}
	return f.run(ctx, nil, compiler, append(args, filepath.Join("src", "lib.rs"))...)
}

// buildGo builds a reactor of WASI.
func (f Folder) buildGo(ctx context.Context, _, out string) error {
	tool, err := exec.LookPath("go")
	if err != nil {
		return missing("go", "install Go 1.24 or later: https://go.dev/dl, or on Debian: apt-get install golang-go, from backports where it is older")
	}
	return f.run(ctx, []string{"GOOS=wasip1", "GOARCH=wasm", "GOWORK=off", "CGO_ENABLED=0"}, tool, "build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o", out, ".")
}

// buildAssemblyScript runs asc, as npm has put it into the folder, or the one of the path.
func (f Folder) buildAssemblyScript(ctx context.Context, _, out string) error {
	asc, err := filepath.Abs(filepath.Join(f.Dir, "node_modules", ".bin", "asc"))
	if err != nil {
		return fmt.Errorf("finding asc: %w", err)
	}
	if _, err := os.Stat(asc); err != nil {
		if asc, err = exec.LookPath("asc"); err != nil {
			mend := fmt.Sprintf("have npm install it into the module's folder: npm install --prefix %s", f.Dir)
			if _, err := exec.LookPath("npm"); err != nil {
				mend += "; npm is in Debian's package npm"
			}
			return missing("asc, the compiler of AssemblyScript", mend)
		}
	}
	sources, err := filepath.Glob(filepath.Join(f.Dir, "plugin.ts"))
	if err != nil || len(sources) == 0 {
		return errors.Join(errors.New("building the module: there is no plugin.ts, which asc begins with"), err)
	}
	// Without abort a failed check traps at once; the host has no function for its message. The runtime frees what the module leaves.
	return f.run(ctx, nil, asc, "plugin.ts", "-o", out, "-O3", "--use", "abort=", "--runtime", "incremental")
}
