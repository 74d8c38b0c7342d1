//go:build !linux

package interop

import "testing"

func TestInterop(t *testing.T) {
	t.Skip("the interoperability tests need Linux: they resolve through real name servers in a network namespace")
}
