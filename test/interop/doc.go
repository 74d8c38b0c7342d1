// Package interop holds the resolver against the rest of the field. Its tests, as root on Linux with Debian's name servers and query
// tools installed, make a network namespace with no way out of it; in it nsd, bind9 and knotd serve the real root zone and zones below it
// on the addresses that they have in the world; `ananas serve` resolves through them, and dig, kdig, drill and delv ask it.
//
// What it makes true: what we believe about DNS is what the others believe. Every expectation in testdata is put to Unbound as well, in the
// same world: where the two differ by intent, the case says why.
//
//	testdata/world.txt    the servers: program, addresses, zones
//	testdata/zones        what they serve; the root zone is the real one, of lab/data
//	testdata/*.case       what is asked, by which tool, and what must come back
//
// Nothing outlives the test: the namespaces of network and processes belong to one process, and end with it.
//
// To look around: go test -tags hold -run TestHold -v -timeout 0 ./test/interop
package interop
