package admin

import (
	"context"
	"io"
	"time"
)

// SettingsStore reads the versions of the settings and changes them. On a node whose file is the truth there are the versions that were loaded, and what
// changes something returns an error that says to edit the file. Errors that a caller has to tell apart are a [*Refusal]. Whoever reaches the admin address from
// this machine may read without the token, so documents of secrets and of tokens are never told: theirs is [Secret].
type SettingsStore interface {
	// Apply makes each section that the files name equal to them.
	Apply(ctx context.Context, a Apply) (Applied, error)
	// HasBlob returns the size of a blob, in octets. One that is here stays for a day at least, for the apply that names it. One that is not is [Absent].
	HasBlob(ctx context.Context, sum [32]byte) (int64, error)
	// PutBlob keeps a content with that SHA-256, whole or not at all: as long as a version names it, and for a day before one does.
	PutBlob(ctx context.Context, sum [32]byte, content io.Reader) error
	// ReadBlob opens a blob that is here, as those are that documents here name, and returns its size in octets. One that is not here is [Absent]. One whose content turns out to be another ends in an error.
	ReadBlob(ctx context.Context, sum [32]byte) (content io.ReadCloser, size int64, err error)
	// Rollback makes all settings what they were at a version.
	Rollback(ctx context.Context, r Rollback) (Applied, error)

	// Settings returns the documents at and below a prefix, at a version (0: the last).
	Settings(ctx context.Context, q SettingsQuery) (SettingsList, error)
	// Difference returns what is different between two versions (to 0: the last).
	Difference(ctx context.Context, from, to uint64, prefix string) (SettingsDifference, error)
	// History returns commits, the newest first.
	History(ctx context.Context, q HistoryQuery) (HistoryList, error)
	// Watch hands every commit after a version to emit as it comes, until ctx is done or emit returns an error.
	Watch(ctx context.Context, after uint64, emit func(Commit) error) error

	// SaveSnapshot writes the whole store as one file.
	SaveSnapshot(ctx context.Context, w io.Writer) error

	// Rollouts are the change sets on their way, and the last that ended, the newest first. id "": all.
	Rollouts(ctx context.Context, id string) ([]Rollout, error)
	// Steer does something to a rollout: pause, resume, abort or promote.
	Steer(ctx context.Context, s Steer) (Rollout, error)

	// Root tells of the store's root and of all nodes.
	Root(ctx context.Context) (Root, error)
	// NewToken makes a join token.
	NewToken(ctx context.Context, t NewToken) (JoinToken, error)
	// WithdrawToken makes a join token that was not used of no use.
	WithdrawToken(ctx context.Context, w WithdrawToken) (TokenInfo, error)
	// RemoveNode revokes a node, and takes it out of the root if it is a member.
	RemoveNode(ctx context.Context, r RemoveNode) (Node, error)
	// Access tells which nodes read what.
	Access(ctx context.Context) (Access, error)
	// SetAccess replaces the rules, whole.
	SetAccess(ctx context.Context, a Access) (Access, error)
}

// Secret stands for a document that is not told.
const Secret = "(secret)"

// Refusal is why something was not done, where the caller has to know which kind of reason that is.
type Refusal struct {
	Why    Why
	Commit string // of Unknown: the id of the commit, if there is one
	Err    error  // the text; its hint is shown
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Why is a kind of reason.
type Why uint8

// The kinds.
const (
	Conflict    Why = iota // something else was changed in between, or the rollout has ended
	Owner                  // the settings are changed elsewhere: in a file of this node, or at the root
	Absent                 // there is no such version, rollout, key or node
	Full                   // there is no room in the store
	Unreachable            // the root can't be reached, or does not decide
	Unknown                // it is not known whether it was done
	Another                // what came is another content than was said
	Shrinks                // a data set would lose more than half of its entries, and nobody said that it is meant: a ShrinkError
)

// Apply is files to make the settings equal to; the body of the request.
type Apply struct {
	Files  []SettingsFile `json:"files"`
	Reason string         `json:"reason"`
	Author string         `json:"author"` // who says so; where another machine asked, the API has put its address behind it
	Now    bool           `json:"now"`    // to all nodes at once; needs a reason
	Dry    bool           `json:"dry"`    // only tell what it would change
	// Confirm is Applied.Confirm of a dry run that somebody looked at: what would be changed must still be that. "": it need not.
	Confirm string `json:"confirm"`
	// Merge leaves what the files do not name as it is, also in the sections that they do name: nothing is deleted.
	Merge bool `json:"merge,omitempty"`
	// Shrink names the data sets that may lose more than half of their entries.
	Shrink []string `json:"shrink,omitempty"`
	// Remove are keys of the live settings that go with the same change, such as modules/family. One that is not there is an error.
	Remove []string `json:"remove,omitempty"`
}

// SettingsFile is a file of settings, and the files that it names, by the name that it has for them.
type SettingsFile struct {
	Name  string            `json:"name"` // for messages
	Text  string            `json:"text"`
	Named map[string][]byte `json:"named"`
	// Blobs are those of them that were put there as blobs before: too large for the request.
	Blobs map[string]Blob `json:"blobs,omitempty"`
	// Made says that a program has made the text of what is live, so that errors have no lines in it.
	Made bool `json:"made,omitempty"`
}

// Rollback is the body of the request.
type Rollback struct {
	Version uint64 `json:"version"`
	Reason  string `json:"reason"`
	Author  string `json:"author"`
	Now     bool   `json:"now"`
	Dry     bool   `json:"dry"`
	Confirm string `json:"confirm"`
	// Prefix is a key, or a folder of keys, that alone is to be what it was; "": all are.
	Prefix string `json:"prefix,omitempty"`
	// Shrink names the data sets that may lose more than half of their entries.
	Shrink []string `json:"shrink,omitempty"`
}

// Applied is what a change does, or would do.
type Applied struct {
	Changes  []Difference `json:"changes"`           // by key; none: nothing is different, and nothing was committed
	Confirm  string       `json:"confirm"`           // names the changes
	Warnings []string     `json:"warnings"`          // what was taken and should be looked at
	Base     uint64       `json:"base"`              // the version that they were made from
	Version  uint64       `json:"version,omitempty"` // of the commit; 0 of a dry run
	Commit   string       `json:"commit,omitempty"`  // its id
	Rollout  string       `json:"rollout,omitempty"` // id of the rollout that carries the change; "": it is live
	Waits    string       `json:"waits,omitempty"`   // id of the rollout that it waits for, since that changes a key of it
	Back     uint64       `json:"back,omitempty"`    // of a rollback: the version that it brings back
	Aborted  []string     `json:"aborted,omitempty"` // ids of rollouts that a change to all nodes at once has ended
	Lists    []ListChange `json:"lists,omitempty"`   // data sets that are new, or another text, and that modules ask; by name
}

// Difference is one key that is different.
type Difference struct {
	Key string  `json:"key"`
	Old *string `json:"old"` // the document before; null: there was none
	New *string `json:"new"`
}

// SettingsQuery says which settings to list.
type SettingsQuery struct {
	Prefix  string // a key, and those below it; "": all
	Version uint64 // 0: the last
	Limit   int    // entries
	Bytes   int    // of keys and documents; one entry is told however large it is
	System  bool   // the store's own keys too
	Held    bool   // as this node has them, with the change sets that it holds; else the live ones
	After   string // only keys after this one, for the next page
}

// SettingsList is a part of the settings.
type SettingsList struct {
	Version uint64         `json:"version"`
	Sets    []string       `json:"sets"` // ids of the change sets over it
	Entries []SettingsItem `json:"entries"`
	More    bool           `json:"more"`
}

// SettingsItem is one key and its document.
type SettingsItem struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// SettingsDifference is what is different between two versions.
type SettingsDifference struct {
	From    uint64       `json:"from"`
	To      uint64       `json:"to"`
	Changes []Difference `json:"changes"`
	More    bool         `json:"more"` // there are so many that not all are told
}

// HistoryQuery says which commits to list.
type HistoryQuery struct {
	Before uint64 // only versions below this; 0: all
	Key    string // only those that changed this key or one below it; "": all
	Limit  int    // commits
	Bytes  int    // of keys and documents; one commit is told however large it is

	Settings bool   // only those that changed a setting which is live, and so not a change set alone
	Without  string // a kind of commits to leave out; "": none
}

// HistoryList is a part of the history.
type HistoryList struct {
	Commits []Commit `json:"commits"` // the newest first
	Floor   uint64   `json:"floor"`   // the history begins after this version
	More    bool     `json:"more"`
}

// Commit is one commit.
type Commit struct {
	Version uint64       `json:"version"`
	ID      string       `json:"id"`
	Kind    string       `json:"kind"`
	Time    time.Time    `json:"time"`
	Author  string       `json:"author"`
	Reason  string       `json:"reason"`
	Changes []Difference `json:"changes"`
	Hidden  int          `json:"hidden"` // changes of keys that this node may not read
}

// WatchLine is a line of the stream of commits: one of the three is set.
type WatchLine struct {
	Commit  *Commit  `json:"commit,omitempty"`
	Beat    *Beat    `json:"beat,omitempty"`
	Problem *Problem `json:"problem,omitempty"` // the last line
}

// Beat says that the node is there although nothing was committed.
type Beat struct {
	Version uint64    `json:"version"` // of the last commit that was told, else the one that the stream begins after
	Now     time.Time `json:"now"`     // on the node's clock
}

// RolloutList is rollouts.
type RolloutList struct {
	Rollouts []Rollout `json:"rollouts"` // the newest first
	Now      time.Time `json:"now"`      // on the node's clock; the API puts it in
}

// Rollout is a change on its way through the fleet.
type Rollout struct {
	ID       string        `json:"id"`
	Subject  string        `json:"subject"`
	State    string        `json:"state"` // queued, baking, paused, live, withdrawn or aborted
	Author   string        `json:"author"`
	Reason   string        `json:"reason"`
	Opened   time.Time     `json:"opened"`
	Ended    time.Time     `json:"ended,omitzero"`
	Waits    string        `json:"waits,omitempty"` // id of the rollout that it waits for
	Wave     int           `json:"wave"`            // from 0, of Waves
	Waves    []RolloutWave `json:"waves"`
	Why      string        `json:"why"`      // why it is in this state
	Evidence []string      `json:"evidence"` // of the last verdict: which node, which figure, before and after
	Keys     []string      `json:"keys"`     // that it changes
}

// RolloutWave is one wave of a rollout.
type RolloutWave struct {
	Name    string    `json:"name"`              // canary, 10%, all
	State   string    `json:"state"`             // waiting, baking, paused, passed, failed or skipped
	Nodes   int       `json:"nodes"`             // that hold the change in this wave, as far as is known
	Holding *int      `json:"holding,omitempty"` // of the wave that is watched: nodes that have told that they have the change in use; nil: this node does not know
	Named   []string  `json:"named"`             // of a canary wave, the nodes
	Since   time.Time `json:"since,omitzero"`
	Bake    int64     `json:"bake_ms"` // how long it bakes, in milliseconds
	Elapsed int64     `json:"elapsed_ms"`
}

// Steer is something to do to a rollout; the body of the request.
type Steer struct {
	ID     string `json:"id"`
	Action string `json:"action"` // pause, resume, abort or promote
	Reason string `json:"reason"`
	Author string `json:"author"`
}

// Root tells of a store.
type Root struct {
	Lineage string       `json:"lineage"`
	Version uint64       `json:"version"`
	Members []RootMember `json:"members"` // of the root; none on a node that is no root
	Nodes   []Node       `json:"nodes"`   // by name
	Tokens  []TokenInfo  `json:"tokens"`  // that can still be used
	Now     time.Time    `json:"now"`     // on the node's clock; the API puts it in
}

// RootMember is one member of the root.
type RootMember struct {
	Name    string `json:"name"`
	Address string `json:"address"` // its peer address; "" of a single member
	State   string `json:"state"`   // leader, follower, learner or unreachable
	Self    bool   `json:"self"`
}

// Node is one node of a store.
type Node struct {
	Name    string            `json:"name"`
	Labels  map[string]string `json:"labels"`
	Role    string            `json:"role"` // root or follower
	Joined  time.Time         `json:"joined,omitzero"`
	Revoked time.Time         `json:"revoked,omitzero"`

	// As it last told, as far as it did.
	Seen    time.Time `json:"seen,omitzero"` // zero: never since this node started
	Up      bool      `json:"up"`
	Version uint64    `json:"version"` // that its table was made from
	Sets    []string  `json:"sets"`    // ids of the change sets in it
	AgeMS   int64     `json:"age_ms"`  // since the root last confirmed what it has, in milliseconds: as it told, and the time since then; -1: never, or it has not told
	Via     string    `json:"via"`     // whom it follows
	Error   string    `json:"error"`   // why it keeps older settings; else ""
	Release string    `json:"release"` // version of the program
}

// NewToken asks for a join token; the body of the request.
type NewToken struct {
	Name   string            `json:"name"` // only the node of this name may use it; "": any
	Labels map[string]string `json:"labels"`
	Root   bool              `json:"root"`   // the node becomes a member of the root
	TTLMS  int64             `json:"ttl_ms"` // how long it can be used, in milliseconds; 0: the node's default, a day
	Author string            `json:"author"`
}

// JoinToken is a token, shown once.
type JoinToken struct {
	Token string    `json:"token"`
	ID    string    `json:"id"`
	Until time.Time `json:"until"`

	// Addresses are what the joining node has in node.store.join: where the members of the root serve.
	Addresses []string `json:"addresses"`
}

// TokenInfo is a token that was made and not used.
type TokenInfo struct {
	ID     string            `json:"id"`
	Name   string            `json:"name"`
	Labels map[string]string `json:"labels"`
	Root   bool              `json:"root"`
	Made   time.Time         `json:"made"`
	By     string            `json:"by"` // who made it
	Until  time.Time         `json:"until"`
}

// WithdrawToken names a token to withdraw; the body of the request.
type WithdrawToken struct {
	ID     string `json:"id"` // of the list; it is no secret
	Reason string `json:"reason"`
	Author string `json:"author"`
}

// RemoveNode names a node to revoke; the body of the request.
type RemoveNode struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
	Author string `json:"author"`
}

// Access is who reads what; the body of the request.
type Access struct {
	Rules  []AccessRule `json:"rules"`
	Author string       `json:"author,omitempty"`
	Reason string       `json:"reason,omitempty"`
	Dry    bool         `json:"dry,omitempty"` // only tell what is wrong with them

	// Confirm names the rules that there are, in an answer; in a request, those that somebody has seen and wants replaced. "": whatever there is.
	Confirm  string   `json:"confirm,omitempty"`
	Warnings []string `json:"warnings,omitempty"` // what was taken and should be looked at
}

// AccessRule lets the nodes with these labels read these folders of the settings, and no others. A node that no rule is about reads all settings.
type AccessRule struct {
	Labels map[string]string `json:"labels"` // that a node has all of; none: every node
	Read   []string          `json:"read"`   // keys and folders; "*" alone is all
}

// StoreStatus is how a node follows its store, or what it has of its own versions.
type StoreStatus struct {
	Role     string   `json:"role"` // file (the file is the truth), root or follower
	Lineage  string   `json:"lineage"`
	Version  uint64   `json:"version"`   // of the copy
	Applied  uint64   `json:"applied"`   // that the table was made from
	Sets     []string `json:"sets"`      // ids of the change sets in the table
	Source   string   `json:"source"`    // address that is followed; "": none right now
	AgeMS    int64    `json:"age_ms"`    // since the root last confirmed what this copy has, in milliseconds; -1: never
	Error    string   `json:"error"`     // what is wrong with following or with the last version; else ""
	Refused  string   `json:"refused"`   // why the last version does not compile here, so that older settings serve; else ""
	Nodes    int      `json:"nodes"`     // that are up, as this node knows
	Of       int      `json:"of"`        // that have joined and are not revoked
	Behind   int      `json:"behind"`    // that are up and have an older version
	Rollouts []string `json:"rollouts"`  // open, as in "42: baking in wave canary"
	Floor    uint64   `json:"floor"`     // the history begins after this version
	Keys     int      `json:"keys"`      // settings in the copy
	Bytes    int64    `json:"log_bytes"` // of the log on disk
}
