// Package admin is the door for operators: the HTTP API on the admin address and a page that shows how the node is.
//
// Start with [New]; openapi.yaml beside this file describes every route, and a test holds it against the code. The package
// knows no other part of the node: it declares the interfaces that it needs ([Reloader], [CacheControl], [SampleSource],
// [Explainer], [StatusSource], [SettingsStore]) and the node hands in what fulfils them. It changes settings only through them.
//
// Who may do what is decided in one place, access.go, before any route sees the request:
//   - the Host must be a loopback name or address, the configured address, or the address that the connection came to, so that a
//     web page whose name was rebound to this machine (DNS rebinding) gets nothing;
//   - an Origin must be that Host, and what a browser marks as coming from another site is refused;
//   - every write, every read from outside loopback, and a snapshot need the token of [LoadToken] as a bearer.
//
// Every error is a problem of RFC 9457 with a hint of what to do. Package client is the other end.
package admin
