package store

import (
	"context"
	"time"
)

// Store is a database engine. Two exist, both in store/gormstore; each passes the
// conformance suite of store/storetest.
type Store interface {
	// View reads. What fn sees need not be one instant unless it says so.
	View(ctx context.Context, fn func(Reader) error) error
	// Update runs fn in one transaction: all of it is kept, or nothing. It is run
	// again from the start, a bounded number of times, on a serialization failure,
	// a deadlock, or an [Error] of [CodeStale] marked retryable by the engine; so fn
	// must have no effect outside the transaction that it may not have twice.
	Update(ctx context.Context, fn func(Tx) error) error
	// Ping reports whether the database answers and its schema is current.
	Ping(ctx context.Context) error
	// Close waits for transactions to end and closes the connections.
	Close() error
}

// Reader is what can be read. A single record that is not there is [CodeNotFound].
// Soft-deleted users and groups are never returned, unless [Query.Deleted] asks for them.
type Reader interface {
	DirectoryReader
	ListReader
	RecordReader
	GrantReader
	RunReader
	LogReader
	MailReader
	WebhookReader
}

// Tx is a transaction. Its locks are taken in one order: run, the organization's
// graph, groups, users, identity keys, entitlements, events.
type Tx interface {
	Reader
	RecordWriter
	GrantWriter
	DirectoryWriter
	RunWriter
	LogWriter
	MailWriter
	WebhookWriter
	IdempotencyWriter
}

// DirectoryReader reads what administrators set up. ref is a name
// (case-insensitive) or an ID.
type DirectoryReader interface {
	Organization(ctx context.Context, ref string) (*Organization, error)
	OrganizationByKey(ctx context.Context, key Key) (*Organization, error)
	Directories(ctx context.Context, org Key) ([]Directory, error)
	Directory(ctx context.Context, org Key, ref string) (*Directory, error)
	DirectoryByKey(ctx context.Context, key Key) (*Directory, error)
	Tokens(ctx context.Context, org Key, directory *Key) ([]Token, error)        // newest first; nil: all
	Token(ctx context.Context, org Key, id ID) (*Token, error)                   // org 0: of the whole instance
	TokenByHash(ctx context.Context, hash []byte) (*Token, error)                // revoked and expired ones too
	OIDCBindings(ctx context.Context, org, directory Key) ([]OIDCBinding, error) // newest first
	OIDCBinding(ctx context.Context, org, directory Key, id ID) (*OIDCBinding, error)
	// OIDCBindingsOf returns the bindings of all organizations that fit a verified
	// token, the most specific first, and whether any binding names its issuer.
	OIDCBindingsOf(ctx context.Context, c OIDCClaims) (fit []OIDCBinding, known bool, err error)
	Domains(ctx context.Context, org Key) ([]Domain, error) // by name
	Domain(ctx context.Context, org Key, ref string) (*Domain, error)
	// ScopeEntries lists what imports have put in a directory's scope, as it joined.
	ScopeEntries(ctx context.Context, q ScopeQuery) ([]ScopeEntry, error)
	// Containers returns the DNs of a directory's containers that have these hashes, as
	// far as they were noted.
	Containers(ctx context.Context, directory Key, hashes []string) (map[string]string, error)
	// DomainsToCheck returns at most limit pending-or-verified domains of all
	// organizations that were verified and last checked before the given time.
	DomainsToCheck(ctx context.Context, before time.Time, limit int) ([]Domain, error)
}

// RecordReader reads users, groups and memberships.
type RecordReader interface {
	User(ctx context.Context, org Key, ref string) (*User, error) // by ID, else by userName if only one has it
	Users(ctx context.Context, q Query) (Page[User], error)
	Group(ctx context.Context, org Key, ref string) (*Group, error) // by ID, else by displayName if only one has it
	Groups(ctx context.Context, q Query) (Page[Group], error)
	// Resources lists users and groups as one list. A field that only one kind has is
	// without a value in the other; one that neither has is [CodeFilter].
	Resources(ctx context.Context, q Query) (Page[Resource], error)
	// Members lists a group's members after the given one, users before groups,
	// each by key: the stated ones, or the published effective users.
	Members(ctx context.Context, q MemberQuery) (Page[Member], error)
	// MembersOf lists the stated members of several groups, in one query for all.
	MembersOf(ctx context.Context, org Key, groups []Key) (map[Key][]Member, error)
	// NestedCounts counts the stated members of groups that are groups, live or not. It
	// leaves out groups without any.
	NestedCounts(ctx context.Context, org Key, groups []Key) (map[Key]int, error)
	// MemberCount counts a group's stated live members, but at most limit of them.
	MemberCount(ctx context.Context, org, group Key, limit int) (int, error)
	// SelectMembers returns the public ids of what satisfies a condition among a
	// group's stated live members.
	SelectMembers(ctx context.Context, q MemberSelection) ([]ID, error)
	// Memberships lists the groups in which the users are published members, by
	// user and then group key; one query for all of them. With a directory only
	// groups that it owns are listed (0: internal ones).
	Memberships(ctx context.Context, org Key, directory *Key, users []Key) ([]Membership, error)
	// Resolve finds which of the references are live records of the directory
	// (0: internal ones).
	Resolve(ctx context.Context, org, directory Key, refs []MemberRef) (map[MemberRef]Edge, error)
	// IDs returns the public ids of live records of one kind.
	IDs(ctx context.Context, org Key, kind Kind, keys []Key) (map[Key]ID, error)
	// CountRecords counts a directory's live users, its active ones, and its groups.
	CountRecords(ctx context.Context, org, directory Key) (users, active, groups int, err error)
}

// MemberQuery selects members of one group.
type MemberQuery struct {
	Org       Key
	Group     Key
	Effective bool
	After     Edge // the last one seen; zero: from the beginning
	Limit     int  // 0: all
}

// MemberSelection selects among the members of one group, users and groups.
type MemberSelection struct {
	Org       Key
	Directory Key // of the group and of Also; 0: internal
	Group     ID
	Apart     bool      // not among its members, but only among Also
	Also      []ID      // further records
	Of        Condition // its fields are those of members: members.type
	Base      string    // as in [Query]
	Limit     int       // at most so many
}

// RecordWriter is how users, groups and memberships change. Only
// sync/reconcile uses it.
type RecordWriter interface {
	// Load locks what the scope names and loads it.
	Load(ctx context.Context, s Scope) (*Snapshot, error)
	// Apply writes a change set. It fails with [CodeStale] if another directory
	// holds a claimed key, which the snapshot could not show (a race).
	Apply(ctx context.Context, c *ChangeSet) (*Effects, error)
	// Publish brings effective membership of stale groups up to date, until about
	// rows rows were compared, and reports whether stale groups remain.
	Publish(ctx context.Context, p Publication) (e *Effects, more bool, err error)
	// Purge deletes for good at most limit users and groups of all organizations that
	// were soft-deleted before a time, and returns how many (rule 7). Of what the log
	// tells of a purged user the data is redacted; ids, types and times stay. One that
	// another transaction holds is left for the next call.
	Purge(ctx context.Context, before time.Time, limit int) (n int, err error)
	// Keys hands out n internal keys for new records of a kind.
	Keys(ctx context.Context, kind Kind, n int) ([]Key, error)
}

// Publication is one step of publishing what [ChangeSet.Deferred] left stale.
type Publication struct {
	Org       Key
	Directory Key // only this directory's groups: another's run may be half applied; 0: all
	Cap       int
	Now       time.Time
	Cause     Cause
	Rows      int // stop after about so many effective rows
}

// DirectoryWriter changes what administrators set up. Create fills Key; a taken
// name is [CodeUniqueness].
type DirectoryWriter interface {
	CreateOrganization(ctx context.Context, o *Organization) error
	UpdateOrganization(ctx context.Context, o *Organization) error // [CodeStale] unless Revision is the stored one; raises it
	CreateDirectory(ctx context.Context, d *Directory) error
	UpdateDirectory(ctx context.Context, d *Directory) error // [CodeStale] unless Revision is the stored one; raises it
	// DeleteDirectory removes the directory with its bindings and revokes its tokens.
	// Its users and groups must have been dealt with.
	DeleteDirectory(ctx context.Context, org, directory Key, now time.Time) error
	// StartHandover is [CodeConflict] if it goes on already, or the other way round.
	StartHandover(ctx context.Context, h *Handover) error
	// EndHandover stops the matching. What has moved stays where it is, and From still
	// knows it when it states members.
	EndHandover(ctx context.Context, org, from, to Key) error // [CodeNotFound] if there is none
	// JoinScope puts entries in the scope of a directory; those that are in it stay.
	JoinScope(ctx context.Context, org, directory Key, entries []ScopeEntry, now time.Time) error
	// LeaveScope takes them out again by stable id, and raises the directory's revision:
	// the next run reads everything. [CodeNotFound] if it is not in it.
	LeaveScope(ctx context.Context, org, directory Key, externalID string, now time.Time) (*ScopeEntry, error)
	// NoteContainers keeps where entries of a directory are: DNs by hash. Those that are
	// known stay.
	NoteContainers(ctx context.Context, org, directory Key, dns map[string]string) error
	CreateToken(ctx context.Context, t *Token) error
	RevokeToken(ctx context.Context, org Key, id ID, now time.Time) error
	TouchToken(ctx context.Context, key Key, now time.Time) error // last use
	// CreateOIDCBinding fails with [CodeConflict] if a token could fit it and a binding
	// of another directory, or if the same one exists. Whose the other is, it says only
	// within an organization.
	CreateOIDCBinding(ctx context.Context, b *OIDCBinding) error
	DeleteOIDCBinding(ctx context.Context, org, directory Key, id ID) error
	TouchOIDCBinding(ctx context.Context, key Key, now time.Time) error // last use
	SaveDomain(ctx context.Context, d *Domain) error                    // creates with Key 0; a domain verified elsewhere is [CodeUniqueness]
	DeleteDomain(ctx context.Context, org, domain Key) error
}

// GrantReader reads what is granted and to whom.
type GrantReader interface {
	Entitlements(ctx context.Context, q EntitlementQuery) (Page[Entitlement], error)
	// Entitlement finds one by ID, or by kind and name: role:Member.
	Entitlement(ctx context.Context, org Key, ref string) (*Entitlement, error)
	// Roles finds roles by name; one that is not there is left out.
	Roles(ctx context.Context, org Key, names []string) ([]Entitlement, error)
	// Grants lists what a record holds: a user also what groups give it that publish it,
	// a group also what is suspended.
	Grants(ctx context.Context, q GrantQuery) (Page[Grant], error)
	Holders(ctx context.Context, q HolderQuery) (Page[Holder], error)
	Billable(ctx context.Context, org Key) (*Billable, error)
}

// GrantWriter changes what is granted. What rules 7 to 10 grant and take follows of
// [RecordWriter.Apply].
type GrantWriter interface {
	CreateEntitlement(ctx context.Context, e *Entitlement) error // a taken name is [CodeUniqueness]
	// UpdateEntitlement writes description and seats. It fails with [CodeStale] unless
	// Revision is the stored one, which it raises, and with [CodeConflict] if more seats
	// are taken.
	UpdateEntitlement(ctx context.Context, e *Entitlement) error
	// DeleteEntitlement takes it from everyone who holds it.
	DeleteEntitlement(ctx context.Context, org, entitlement Key) error
	// Grant returns those of the holders that did not hold it, or held it suspended. With
	// too few free seats it grants none and fails with [CodeConflict].
	Grant(ctx context.Context, c GrantChange) ([]Edge, error)
	// Revoke returns those of the holders that held it.
	Revoke(ctx context.Context, c GrantChange) ([]Edge, error)
	// RestoreAccess lifts the suspension of product access of a directory's groups if
	// none of its live groups is out of scope (rule 9), with an event for each.
	RestoreAccess(ctx context.Context, org, directory Key, now time.Time, cause Cause) error
}

// RunReader reads runs and what they compare with.
type RunReader interface {
	Run(ctx context.Context, org Key, ref ID) (*Run, error)
	RunByKey(ctx context.Context, key Key) (*Run, error)
	Runs(ctx context.Context, q RunQuery) ([]Run, error)
	// Known streams what is stored of a directory's live records and of those out
	// of scope.
	Known(ctx context.Context, directory Key, each func(Known) error) error
	// Stock counts what Known would stream.
	Stock(ctx context.Context, directory Key) (Stock, error)
	// KnownAs streams what Known does, of the records with the given stable ids.
	KnownAs(ctx context.Context, directory Key, ids []string, each func(Known) error) error
	// KnownIn streams what Known does, of the stated members of a directory's groups
	// with the given stable ids.
	KnownIn(ctx context.Context, directory Key, groups []string, each func(Known) error) error
	// Naming returns the stable ids of the directory's live groups that have records
	// with the given stable ids as stated members, known or pending, and of its live
	// users who have them as managers.
	Naming(ctx context.Context, directory Key, ids []string) ([]string, error)
	// LastRun returns the run of the directory that succeeded last, and when the last
	// full one did; nil if none has. Runs with a selection do not count.
	LastRun(ctx context.Context, directory Key) (last *Run, full time.Time, err error)
	// Due lists the directories of kind ldap of all organizations with the start
	// of their last run, or only the one with the key, if that is not 0.
	Due(ctx context.Context, only Key) ([]Due, error)
	// DirectoryStates says of every directory of all organizations how it stands.
	DirectoryStates(ctx context.Context) ([]DirectoryState, error)
	// MemberLosses finds the groups from which a sealed stage removes direct members
	// (rule 6): those over the threshold first, then by how many they lose. A member
	// who is itself deleted or leaves the scope by the stage is counted there.
	MemberLosses(ctx context.Context, q LossQuery) ([]Loss, error)
	// EarlierLosses sums by class, members left out, what incremental runs of a
	// directory that nobody approved have taken away since a time.
	EarlierLosses(ctx context.Context, directory Key, since time.Time) (map[LossClass]int, error)
	// StagedWindow returns the rows of one window in order.
	StagedWindow(ctx context.Context, run Key, window int) ([]Staged, error)
	// PlanRecords returns what [RunWriter.NotePlan] noted of the records with some
	// stable ids.
	PlanRecords(ctx context.Context, run Key, ids []string) ([]PlanRecord, error)
	// Belongings lists the live groups of a directory that hold records, by group key.
	Belongings(ctx context.Context, q BelongingQuery) ([]Belonging, error)
	// RecordNames names live records; those that are not are left out.
	RecordNames(ctx context.Context, org Key, records []Edge) (map[Edge]RecordName, error)
}

// RunWriter changes runs and their stage. Methods with a [Lease] fail with
// [CodeStale] when the lease was lost to another worker.
type RunWriter interface {
	CreateRun(ctx context.Context, r *Run) error // [CodeConflict] while another of the directory is active
	// ClaimRun takes one run that waits for a worker or whose lease ran out, by the
	// database's clock, and raises its fence; nil if there is none.
	ClaimRun(ctx context.Context, owner string, lease time.Duration) (*Run, error)
	RenewLease(ctx context.Context, l Lease, lease time.Duration) error
	// HoldRun locks the run for the rest of the transaction, counts it in Writes, and
	// returns the run as it is.
	HoldRun(ctx context.Context, l Lease) (*Run, error)
	// LockRun locks a run that no worker holds (a plan or a held run), to decide on it.
	LockRun(ctx context.Context, org Key, id ID) (*Run, error)
	// SaveRun writes what a worker or a decision changed; Owner and LeaseUntil are
	// cleared when the run waits for a person or is finished.
	SaveRun(ctx context.Context, r *Run) error
	ClearStage(ctx context.Context, run Key) error
	AppendStage(ctx context.Context, run Key, rows []Staged) error
	// AmendManagers sets the manager of staged users, by stable id: of those whose
	// manager's entry was read after their own.
	AmendManagers(ctx context.Context, run Key, managers map[string]string) error
	// MarkTold sets Told of the staged rows with the stable ids.
	MarkTold(ctx context.Context, run Key, ids []string) error
	// SealStage divides the stage into windows of about so many records and member
	// references, such that records of one kind that trade a name share a window,
	// and returns how many there are and a hash of the whole stage.
	SealStage(ctx context.Context, run Key, records, refs int) (windows int, hash string, err error)
	// NotePlan keeps what a plan would make of records, until the stage is cleared.
	NotePlan(ctx context.Context, run Key, records []PlanRecord) error
	// NoteLosses keeps what an incremental run takes away, for those that follow. It
	// counts once the run has applied something.
	NoteLosses(ctx context.Context, run *Run, losses []Loss, now time.Time) error
	// ResolveStaged is ResolveFindings for a run that has not looked at every record:
	// only of those that have a row in its stage.
	ResolveStaged(ctx context.Context, directory, run Key, rules []string, now time.Time) error
	// PurgeRuns deletes at most limit runs of all organizations that ended before a
	// time, and returns how many. Of each directory the last one that somebody started,
	// the last one that succeeded, and the last complete one of these stay, whatever
	// their age: the schedule, the next incremental run and the guard look at them.
	PurgeRuns(ctx context.Context, before time.Time, limit int) (n int, err error)
	// ResolveFindings closes the directory's open findings of the given rules that
	// the run has not seen.
	ResolveFindings(ctx context.Context, directory, run Key, rules []string, now time.Time) error
}

// LogReader reads events and findings.
type LogReader interface {
	// Events returns events after the cursor in the organization's order, in which
	// none is ever inserted before one already read.
	Events(ctx context.Context, q EventQuery) ([]Event, error)
	// LastEvent returns a cursor at the end of the log: no event that was committed
	// before the call comes after it.
	LastEvent(ctx context.Context, org Key) (int64, error)
	Findings(ctx context.Context, q FindingQuery) ([]Finding, error)
}

// LogWriter writes events and findings.
type LogWriter interface {
	Append(ctx context.Context, events []Event) error // last in a transaction
	Open(ctx context.Context, findings []Finding) error
}

// MailReader reads the outbox.
type MailReader interface {
	// Mails lists an organization's mails about a record, the oldest first.
	Mails(ctx context.Context, org Key, resource ID) ([]Mail, error)
	// MailCounts counts the mails of all organizations by state.
	MailCounts(ctx context.Context) (map[MailState]int, error)
	// OldestMail returns when the mail was queued that has waited longest; zero if none
	// waits.
	OldestMail(ctx context.Context) (time.Time, error)
	MailAgenda(ctx context.Context) (Agenda, error)
}

// MailWriter writes the outbox. Whoever claims a mail holds it by a lease; a method
// that is given one fails with [CodeStale] when another worker has claimed it since.
type MailWriter interface {
	// QueueMails queues mails. Of those with an equal Dedupe the first stays as it is.
	QueueMails(ctx context.Context, mails []Mail) error
	// ClaimMails takes at most limit queued mails that are due at now and that nobody
	// holds, and raises their fences. They come in the order in which to send them.
	ClaimMails(ctx context.Context, owner string, lease time.Duration, now time.Time, limit int) ([]Mail, error)
	// RenewMails puts off the end of all leases of an owner.
	RenewMails(ctx context.Context, owner string, lease time.Duration) error
	// ReleaseMails gives back what an owner holds and has not begun to hand over.
	ReleaseMails(ctx context.Context, owner string) error
	// BeginMail marks a claimed mail as being handed over: from now on nobody else
	// sends it.
	BeginMail(ctx context.Context, m *Mail, lease time.Duration) error
	// SaveMail writes what became of a claimed mail, State, Attempts, NextAttemptAt,
	// LastError and SentAt, and ends the lease. It may also be called by the one that
	// began a mail which has become uncertain meanwhile.
	SaveMail(ctx context.Context, m *Mail) error
	// LapseMails makes mails uncertain whose process died while it handed them over.
	LapseMails(ctx context.Context, limit int) ([]Mail, error)
	// ExpireMails makes queued mails failed that nobody holds and that were created
	// before a time.
	ExpireMails(ctx context.Context, before time.Time, limit int) ([]Mail, error)
	// PurgeMails deletes mails that are done and were created before a time, and
	// returns them.
	PurgeMails(ctx context.Context, before time.Time, limit int) ([]Mail, error)
}
