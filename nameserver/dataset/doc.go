// Package dataset holds lists of millions of names or prefixes, for modules and policies to ask: is this name listed, is it below one that is, is
// this address in a listed prefix.
//
// Start with [Build], which compiles the text of a list (a hosts file, plain domains, a response policy zone, CIDR prefixes) into the octets of a
// file; [Open], which maps such a file into memory; and [Set.Exact], [Set.Suffix] and [Set.Prefix], which ask. A [Shelf] is a folder of compiled
// lists, each mapped once however many ask for it.
//
// Example: a list has example.com. A query for www.ads.example.com. comes, and Suffix hashes it from the right, label by label: com., example.com.,
// ads.example.com. and so on, as deep as the deepest name of the list and no deeper. No listed name has one label, so com. is not looked for. The
// hash of each of the others leads to a bucket of some seven names in two lines of the processor's cache, and all these are touched before the first
// is read, so that memory brings them side by side. Then, the longest first: a tag of eight bits for each name of the bucket says which may be it,
// mostly none, and the name, a row of codes for pieces of names, is compared octet for octet. The first that is found is the answer.
//
// Promises: a name is found if and only if it was listed (hashes only point; what is compared is the name). Look-ups allocate nothing, take no lock,
// and may be made by any number of goroutines. A file that is not whole is refused by Open; and should the disk fail below a file that is mapped,
// the look-up is a miss and [Set.Err] says so. The same text gives the same file, octet for octet.
//
// It does not fetch lists, decide what a listed name means, nor know of modules. DESIGN.md has the layout of the file and the reasons.
package dataset
