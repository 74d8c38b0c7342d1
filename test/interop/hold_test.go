//go:build linux && hold

package interop

import (
	"fmt"
	"os"
	"os/signal"
	"testing"
)

// TestHold keeps the world up, with both resolvers in it, until it is interrupted: for a person to look around.
func TestHold(t *testing.T) {
	w := enterWorld(t)
	a, u := startAnanas(t, settings{}), startUnbound(t)
	fmt.Printf("ananas is on %v, unbound on %v; files are in %s\n", a.addr, u.addr, w.dir)
	fmt.Printf("look around with: nsenter -t $(pgrep -o -f %s/bin/) -n\n", w.dir)
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	<-interrupted
}
