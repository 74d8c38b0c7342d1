// Package blobs keeps contents that are too large for a document of the store: files in one folder, each named by its SHA-256. A document names a blob by
// that; a copy shows the document only when the blob is there.
//
// Begin with [Folder]. What is in it was whole and had its digest when it came: a process that is killed leaves files that are whole, and some that were being
// written, which the next start removes. What nobody names any more is swept ([Folder.Sweep]).
package blobs
