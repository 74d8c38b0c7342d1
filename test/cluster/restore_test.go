package cluster_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ananas-edge/ananas/admin"
	"github.com/ananas-edge/ananas/test/cluster"
)

// A root that ends when its etcd has the snapshot, and before it has written that down, goes on with the restore when it is started: what the snapshot had on its way is aborted, and no plain copy of
// the store stays.
func TestRestoreThatWasCutOff(t *testing.T) {
	c := start(t).Cluster
	root := run(t, c, cluster.Config{Name: "root", Root: true}, nil)
	apply := func(text string) admin.Applied {
		t.Helper()
		var done admin.Applied
		err := eventually(t, func(ctx context.Context) (err error) {
			done, err = api(t, root).Apply(ctx, admin.Apply{Author: "test", Reason: "test", Files: []admin.SettingsFile{{Name: "settings.yaml", Text: text}}})
			return err
		})
		if err != nil {
			t.Fatalf("%v\n%s", err, root.Tail(20))
		}
		return done
	}
	apply("settings: { sampling: { one_in: 8 } }\n")
	open := apply("settings: { sampling: { one_in: 9 } }\n")
	file := filepath.Join(c.Dir, "store.snapshot")
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api(t, root).SaveSnapshot(t.Context(), out); err != nil || open.Rollout == "" {
		t.Fatalf("%+v, %v", open, err)
	}
	folder := filepath.Join(root.Data, "store")
	inTheWay := filepath.Join(folder, "restored")
	if err := errors.Join(out.Close(), root.Stop(), os.Mkdir(inTheWay, 0o700)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(c.Binary, "snapshot", "restore", file, "--data", root.Data).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := root.Start(""); err != nil {
		t.Fatal(err)
	}
	err = eventually(t, func(context.Context) error {
		if log := root.Tail(100); !strings.Contains(log, "writing down which version it was") {
			return errors.New(log)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	root.Kill()
	if err := errors.Join(os.Remove(inTheWay), root.Start("")); err != nil {
		t.Fatal(err)
	}
	err = eventually(t, func(ctx context.Context) error {
		l, err := api(t, root).Rollouts(ctx, open.Rollout)
		if err == nil && (len(l.Rollouts) != 1 || l.Rollouts[0].State != "aborted" || !strings.Contains(l.Rollouts[0].Why, "restored from a snapshot")) {
			err = fmt.Errorf("what was on its way is %+v", l.Rollouts)
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, root.Tail(20))
	}
	for _, name := range []string{"restore.snapshot", "restore.ready"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err == nil {
			t.Errorf("%s is there still", name)
		}
	}
}
