// Package namedfile is what settings name a file for: content that lies somewhere, on the disk of this machine or among the blobs of a store, and is known by its SHA-256. It is read when somebody wants
// it, and not kept in memory for that: a list of five million names has 100 MB. [Disk] reads files by their names, and takes what has not changed from what is in use.
package namedfile
