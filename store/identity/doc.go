// Package identity is who is who in a store: its certificate authority, the tokens that nodes join with, their certificates, revocation, and who
// reads what. It opens no socket. It gives [tls.Config] values, documents of the store, the edits that change them, and decisions.
//
// The life of a node, and where to begin:
//
//	[NewToken]           a member of the root makes a join token
//	[JoinConfig]         the new node connects, with no certificate, to a member whose authority the token names
//	[Identity.Join]      it makes a key and asks; [Redeem] decides at the member, whose commit uses the token up
//	[Identity.Accept]    it checks what it got and keeps it
//	[Identity.Admit]     whoever is connected to tells who it is, by its certificate and its document ~node/NAME, or a [Refusal]
//	[Access]             what of the store it may read
//	[Identity.Renewal]   at two thirds of the certificate's life it asks for the next; [Renew] decides
//	[Revoke]             it is refused from then on, wherever that commit has arrived
//
// A certificate alone opens nothing: it has to be for the key that ~node/NAME names, and that document has to be without a revocation. So a
// commit takes effect at once, no list of revoked certificates has to be fetched, and a name that joined again locks its old key out.
//
// DESIGN.md of package store tells what follows from this and what does not.
package identity
