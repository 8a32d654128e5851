package store

// Scope is what a transaction locks and loads before a plan is made of it. The
// reconciler derives it from a [Statement].
type Scope struct {
	Org       Key
	Directory Key
	Users     []RecordKey
	UserKeys  []string // folded identity keys that statements would claim (rule 2)
	UserNames []string // folded userNames among them
	Groups    []GroupScope
	GroupKeys []string // folded displayNames that statements would claim
	Nests     bool     // a group will hold one that is not stored yet: takes the graph for itself
	Unlocked  bool     // take no locks: the plan will not be applied
	Departed  bool     // also soft-deleted records that may return: by Users[] and Groups[].Record, by External, and by name
	Handover  bool     // also what a handover needs: TakeUsers, GroupScope.Take, and records that were handed over by their former stable ids
	TakeUsers []ID     // users of other directories that the statements may take over
	External  []string // further stable ids to look for among the soft-deleted users and groups (a push's externalId)
}

// GroupScope is one group to load and which of its edges to look up.
type GroupScope struct {
	Record   RecordKey
	Refs     []MemberRef // resolve these, and say which are members now
	AllEdges bool        // load every edge: the set is being replaced
	Removes  bool        // the members that Refs name by ID are removed, and nobody is added
	Take     ID          // the group of another directory that the statement may take over
	Deletes  bool        // the group is to be deleted or to leave the scope: takes the graph for itself
}

// Snapshot is what is stored about one [Scope], as it stands under the locks of
// the transaction that loaded it.
type Snapshot struct {
	Directory *Directory             // nil for internal records
	Domains   map[string]DomainState // of the organization, by folded name
	Roles     []Entitlement          // those that the directory gives new users (rule 10), as far as they exist

	Users       map[RecordKey]*User // those found, by the key that the scope used
	NameHolders map[string]*User    // live users of the same directory, by folded userName
	Departed    []*User             // soft-deleted users of the same directory, newest first
	Owners      map[string]KeyOwner // identity keys that are held, by folded key

	Groups           map[RecordKey]*Group
	GroupNameHolders map[string]*Group
	DepartedGroups   []*Group
	GroupOwners      map[string]KeyOwner

	// Held are the stable ids looked for that live records of the directory have, by
	// kind. A push may give several records the same one.
	Held map[Kind]map[string]bool

	TakesFrom   map[Key]bool // directories whose records the directory takes over (rule 1)
	GaveAway    bool         // the directory has handed records over
	Taken       map[ID]*User // of [Scope.TakeUsers], those that such a directory still owns
	TakenGroups map[ID]*Group
	// Given are records that the directory has handed over, by kind and the stable id
	// by which it knows them.
	Given   map[Kind]map[string]KeyOwner
	Foreign map[Edge]bool // members of groups with all edges that belong to a directory of TakesFrom

	Members map[MemberRef]Edge      // the refs that are known, live records of the organization that the directory may name
	Former  map[MemberRef]Edge      // refs by ID to soft-deleted users: they can be removed, not added
	Edges   map[Key]map[Edge]bool   // by group: which of the named (or all) edges exist
	Pending map[Key]map[string]bool // by group: stable ids stated as members and not known yet
}

// KeyOwner is who holds an identity key.
type KeyOwner struct {
	Directory     Key
	DirectoryName string // "" for internal
	Holders       int
	Key           Key // a holder
	ID            ID
	Name          string // its userName or displayName
	Internal      bool
}
