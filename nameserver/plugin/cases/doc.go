// Package cases runs a module without a node: queries in, verdicts out, as text files have them.
//
// A file ([Parse]) has blocks with empty lines between them, and comments, which begin with #. A block is a case:
//
//	settings zones=ads.example
//	query www.ads.example A do cd client 192.0.2.7 tenant lobby tcp
//	-> NXDOMAIN ttl=60 ede="15 blocked"
//
// A block of settings alone holds for those behind it. A case of phase answer has the records that are shown, and may say how they are:
//
//	query www.example.com A
//	reply NOERROR secure cached
//	answer www.example.com. 300 IN A 192.0.2.1
//	authority example.com. 300 IN NS ns.example.com.
//	-> records
//	    www.example.com. 60 IN A 192.0.2.1
//
// A module that asks questions of its own finds these records; what has no record of that name fails:
//
//	query mirror.example A
//	resolved www.example.com. 300 IN A 192.0.2.1
//
// A case of phase log has lines of what was answered, which the module is shown as a node shows them, and what it is to count (the sum), observe (each number) and log:
//
//	logged www.ads.example A NXDOMAIN cached stale blocked at=1s took=120us tag="ads" client 192.0.2.7
//	logged www.example.com AAAA do
//	-> done
//	    count lines 2
//	    observe microseconds 120 0
//	    log warn "ads"
//
// A verdict is one of
//
//	-> go on
//	-> NXDOMAIN ttl=60
//	-> NODATA ttl=60                    of both, a zone's SOA record may stand behind it
//	-> address 0.0.0.0 :: ttl=60
//	-> REFUSED
//	-> drop
//	-> rewrite www.example.net. ttl=60
//	-> records                          their lines behind it
//	-> fault fuel                       or another reason: see [plugin.Reason]
//
// with ede="CODE TEXT", group="NAME", tag="TEXT" and bypass behind it. What is not said must not be there. Any group is there.
//
// [Runner] runs them through the same chain that a node has, with the fuel that the module's manifest asks for and granted all that it needs, and what it wants of the data sets that there are. Its clock stands, and its random numbers are the same each time.
package cases
