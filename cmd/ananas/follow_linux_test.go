package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	planned = `{"base": 41, "confirm": "x", "changes": [{"key": "cache/stale", "old": "2h\n", "new": "1h\n"}]}`
	applied = `{"base": 41, "version": 42, "rollout": "42", "changes": [{"key": "cache/stale", "old": "2h\n", "new": "1h\n"}]}`
	waiting = `{"rollouts": [{"id": "42", "state": "baking", "why": "the probe of 1 of 2 nodes has no result yet, and nothing else is known of it", "waves": [{"name": "canary", "state": "baking", "nodes": 2, "holding": 1, "bake_ms": 30000, "elapsed_ms": 31000}, {"name": "all", "state": "waiting"}]}]}`
	baking  = `{"rollouts": [{"id": "42", "state": "baking", "waves": [{"name": "canary", "state": "baking", "nodes": 1, "named": ["lis01"], "bake_ms": 30000, "elapsed_ms": 15000}, {"name": "all", "state": "waiting"}]}]}`
	live    = `{"rollouts": [{"id": "42", "state": "live", "waves": [{"name": "canary", "state": "passed", "nodes": 1}, {"name": "all", "state": "passed", "nodes": 64}]}]}`
)

// storing starts an API over a store that says that, and returns the environment in which it is found, and a file to apply.
func storing(t *testing.T, rollouts string) (env map[string]string, file string) {
	t.Helper()
	dir, data := t.TempDir(), t.TempDir()
	file = filepath.Join(dir, "cache.yaml")
	for name, text := range map[string]string{"plan.json": planned, "applied.json": applied, "rollouts.ndjson": rollouts, "cache.yaml": "settings: { cache: { stale: 1h } }"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address, err := startAPI(files{dir: dir}, data, t.Cleanup)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"ANANAS_NODE": address, "ANANAS_DATA": data, "NO_COLOR": "1"}, file
}

// atTerminal runs a command on a terminal on which somebody types, and returns what is seen, and the exit code.
func atTerminal(t *testing.T, env map[string]string, typed string, args ...string) (string, int) {
	t.Helper()
	master, slave := openTerminal(t, 60)
	const mark = "--- the command has ended" // what is on its way when the other end is closed may be lost
	read := make(chan string)
	go func() {
		var seen []byte
		for part := make([]byte, 4096); !bytes.Contains(seen, []byte(mark)); {
			n, err := master.Read(part)
			if seen = append(seen, part[:n]...); err != nil {
				t.Error(err)
				break
			}
		}
		text, _, _ := strings.Cut(string(seen), mark)
		read <- strings.ReplaceAll(text, "\r\n", "\n")
	}()
	if _, err := io.WriteString(master, typed); err != nil {
		t.Fatal(err)
	}
	p := &process{stdin: slave, stdout: slave, stderr: slave, env: func(name string) string { return env[name] }, wait: func(context.Context, time.Duration) {}}
	code := p.run(args)
	if _, err := io.WriteString(slave, mark); err != nil {
		t.Error(err)
	}
	defer slave.Close()
	return <-read, code
}

// On a terminal the difference is shown and a yes is asked for; then the waves are drawn over one another until the change is live.
func TestApplyAtATerminal(t *testing.T) {
	env, file := storing(t, baking+"\n"+live)
	got, code := atTerminal(t, env, "y\n", "apply", file)
	got = strings.Replace(got, "y\n", "", 1) // the terminal shows what is typed, before or behind the question
	const want = `- cache/stale: 2h
+ cache/stale: 1h

1 key: 1 changed
Apply? [y/N] version 42: rollout 42
` + eraseLine + "canary  ██████████··········  baking 15 s of 30 s, 1 node:…\n" +
		eraseLine + "all     ····················  waiting\n" +
		"\x1b[2A" +
		eraseLine + "canary  ████████████████████  passed, 1 node\n" +
		eraseLine + "all     ████████████████████  passed, 64 nodes\n" +
		eraseLine + "live\n"
	if code != exitDone || got != want {
		t.Errorf("exit code %d, got\n%q, want\n%q", code, got, want)
	}
}

// Why a gate waits is one line below the waves, which the next one takes the place of.
func TestGateAtATerminal(t *testing.T) {
	env, file := storing(t, waiting+"\n"+live)
	got, code := atTerminal(t, env, "", "apply", file, "--yes")
	_, got, _ = strings.Cut(got, "rollout 42\n")
	const want = eraseLine + "canary  ████████████████████  baking 31 s of 30 s, 1 of 2 …\n" +
		eraseLine + "all     ····················  waiting\n" +
		eraseLine + "the gate waits: the probe of 1 of 2 nodes has no result ye…\n" +
		"\x1b[3A" +
		eraseLine + "canary  ████████████████████  passed, 1 node\n" +
		eraseLine + "all     ████████████████████  passed, 64 nodes\n" +
		eraseLine + "live\n"
	if code != exitDone || got != want {
		t.Errorf("exit code %d, got\n%q, want\n%q", code, got, want)
	}
}

// A member of the root that does not drive knows nothing of a wave but that it is watched, and says who does.
func TestFollowingAtAnotherMember(t *testing.T) {
	again := strings.Replace(baking, `"waves"`, `"why": "paused no more: resumed by ana", "waves"`, 1) // what the store says of how it came into this wave
	env, file := storing(t, strings.Repeat(again+"\n", followBlind+2)+live)
	var stdout bytes.Buffer
	p := &process{stdout: &stdout, stderr: io.Discard, env: func(name string) string { return env[name] }, wait: func(context.Context, time.Duration) {}}
	code := p.run([]string{"apply", file, "--yes"})
	if code != exitDone || strings.Count(stdout.String(), "\ncanary: the gate waits: "+elsewhere+"\n") != 1 || strings.Contains(stdout.String(), "resumed") {
		t.Errorf("exit code %d, got\n%s", code, &stdout)
	}
}

// Whatever is no yes changes nothing.
func TestApplyThatIsNotMeant(t *testing.T) {
	for _, typed := range []string{"\n", "n\n", "yeah, sure\n", "\x04"} { // the last: the end of the input
		env, file := storing(t, live)
		got, code := atTerminal(t, env, typed, "apply", file)
		if code != exitFailed || !strings.HasSuffix(got, "error: nothing was changed\n") {
			t.Errorf("%q: exit code %d, got\n%s", typed, code, got)
		}
		asked, err := os.ReadFile(filepath.Join(filepath.Dir(file), "asked"))
		if err != nil || strings.Contains(string(asked), "dry=false") {
			t.Errorf("%q: %v, the node was asked\n%s", typed, err, asked)
		}
	}
}

// Who interrupts looks no longer on; the rollout goes on, and that is said.
func TestApplyThatIsInterrupted(t *testing.T) {
	env, file := storing(t, baking)
	var stdout, stderr bytes.Buffer
	p := &process{stdout: &stdout, stderr: &stderr, env: func(name string) string { return env[name] }}
	p.wait = func(ctx context.Context, _ time.Duration) {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Error(err)
		}
		<-ctx.Done()
	}
	code := p.run([]string{"apply", file, "--yes"})
	if code != exitFailed || stderr.String() != "error: interrupted; rollout 42 goes on\nhint: ananas rollout show 42 --watch looks at it, ananas rollout abort 42 takes it back\n" {
		t.Errorf("exit code %d, %s", code, &stderr)
	}
}

// A root that restarts in the middle is waited for; one that stays away is not, and nobody is told that the rollout ended.
func TestFollowingWhereTheNodeGoesAway(t *testing.T) {
	env, file := storing(t, baking)
	broken := filepath.Join(filepath.Dir(file), "rollouts.ndjson.error")
	looks := 0
	var stdout, stderr bytes.Buffer
	p := &process{stdout: &stdout, stderr: &stderr, env: func(name string) string { return env[name] }}
	p.wait = func(context.Context, time.Duration) {
		switch looks++; looks {
		case 1:
			if err := os.WriteFile(broken, []byte("root: no majority"), 0o600); err != nil {
				t.Error(err)
			}
		case followMisses - 1:
			if err := os.Remove(broken); err != nil {
				t.Error(err)
			}
			if err := os.WriteFile(filepath.Join(filepath.Dir(file), "rollouts.ndjson"), []byte(live), 0o600); err != nil {
				t.Error(err)
			}
		}
	}
	if code := p.run([]string{"apply", file, "--yes"}); code != exitDone || !strings.HasSuffix(stdout.String(), "\nlive\n") || looks != followMisses-1 {
		t.Errorf("exit code %d after %d looks, %s%s", code, looks, &stdout, &stderr)
	}

	// What was just opened may not be known yet, for a while; what somebody asks for is known or not.
	absent := `{"rollouts": []}`
	rollouts := filepath.Join(filepath.Dir(file), "rollouts.ndjson")
	if err := os.WriteFile(rollouts, []byte(absent+"\n"+absent+"\n"+live), 0o600); err != nil {
		t.Fatal(err)
	}
	looks = -200
	if code := p.run([]string{"apply", file, "--yes"}); code != exitDone || looks != -198 {
		t.Errorf("exit code %d after %d looks, %s", code, looks+200, &stderr)
	}
	if err := os.WriteFile(rollouts, []byte(absent), 0o600); err != nil {
		t.Fatal(err)
	}
	looks = -200
	if code := p.run([]string{"apply", file, "--yes"}); code != exitFailed || looks != -200+followFresh-1 {
		t.Errorf("exit code %d after %d looks, %s", code, looks+200, &stderr)
	}
	looks = -200
	if code := p.run([]string{"rollout", "show", "42", "--watch"}); code != exitFailed || looks != -200 {
		t.Errorf("exit code %d after %d looks, %s", code, looks+200, &stderr)
	}

	if err := os.WriteFile(broken, []byte("root: no majority"), 0o600); err != nil {
		t.Fatal(err)
	}
	looks = -100
	if code := p.run([]string{"apply", file, "--yes"}); code != exitFailed || looks != -100+followMisses-1 || !strings.Contains(stderr.String(), "no majority\n  what becomes of rollout 42 is not known here; it goes on\n") {
		t.Errorf("exit code %d after %d looks, %s", code, looks+100, &stderr)
	}
}

// On a terminal it is shown how much of a snapshot has come.
func TestSnapshotAtATerminal(t *testing.T) {
	env, file := storing(t, live)
	dir := filepath.Dir(file)
	if err := os.WriteFile(filepath.Join(dir, "snapshot"), make([]byte, 3<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	got, code := atTerminal(t, env, "", "snapshot", "save", filepath.Join(dir, "out"))
	if code != exitDone || !strings.HasPrefix(got, eraseLine+"1.") || !strings.HasSuffix(got, eraseLine+filepath.Join(dir, "out")+": 3.00 MiB\n") {
		t.Errorf("exit code %d, got %q", code, got)
	}
}
