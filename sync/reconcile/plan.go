package reconcile

import (
	"time"

	"github.com/provost-scim/provost/store"
)

// Policy is what a plan depends on besides the snapshot and the statement.
type Policy struct {
	Now time.Time
	Cap int // rule 5
}

// Plan makes of a statement the change set that makes it true, by the rules. It is
// pure, total and deterministic: the same arguments give the same change set, and
// applying it and planning again gives one that changes nothing.
func Plan(have *store.Snapshot, want store.Statement, policy Policy) store.ChangeSet {
	p := newPlanner(have, &want, policy)
	p.users()
	p.groups()
	return p.cs
}

func newPlanner(have *store.Snapshot, want *store.Statement, policy Policy) *planner {
	p := &planner{
		have:   have,
		want:   want,
		policy: policy,
		cs: store.ChangeSet{
			Org:       want.Org,
			Directory: want.Directory,
			Cause:     want.Cause,
			Now:       policy.Now.UTC().Truncate(time.Microsecond),
			Cap:       policy.Cap,
			Deferred:  want.Origin == store.OriginPull,
			Synced:    want.Origin == store.OriginPush,
		},
		returned: map[store.Key]bool{},
		taken:    map[store.Edge]bool{},
		arrived:  map[string]store.Edge{},
		deleting: map[store.Key]bool{},
	}
	p.cs.DefaultRoles = have.Roles
	if want.New != nil && want.New.Roles != nil {
		p.cs.DefaultRoles = want.New.Roles
	}
	if want.New != nil {
		p.cs.NewLicences = want.New.Licences
	}
	p.cs.UnassignLicences = p.settings().UnassignLicences
	p.cs.RestoreAccess = p.inWholeScope()
	return p
}

// inWholeScope is rule 9: product access comes back with its group, unless only a part
// of the directory is in its scope. Then the end of a run judges it.
func (p *planner) inWholeScope() bool {
	l := p.settings().LDAP
	return l == nil || len(l.ScopeGroups) == 0
}

// planner holds one planning.
type planner struct {
	have     *store.Snapshot
	want     *store.Statement
	policy   Policy
	cs       store.ChangeSet
	cause    *store.Cause                     // of the user being planned, if it has its own
	returned map[store.Key]bool               // soft-deleted records that a statement has brought back
	taken    map[store.Edge]bool              // records of other directories that a statement has taken over
	arrived  map[string]store.Edge            // the same by the stable ids that this directory gives them
	deleting map[store.Key]bool               // groups that the statement deletes
	fresh    map[store.ID]*fresh              // records that a statement of Apart records creates, by NewID
	dns      map[store.Kind]map[string]string // of the entries that a pull has read, by stable id; made when a finding needs one
}

func (p *planner) pull() bool { return p.want.Origin == store.OriginPull }

// settings are the directory's, or those of internal records.
func (p *planner) settings() *store.Settings {
	if p.have.Directory != nil {
		return &p.have.Directory.Settings
	}
	return &internalSettings
}

var internalSettings = store.Settings{
	DomainPolicy:   store.DomainsOff,
	ReplicateState: true,
	EnableNewUsers: true,
}

// finding records what a person should know of a stated record.
func (p *planner) finding(rule string, kind store.Kind, record, name, sentence string) {
	p.cs.Findings = append(p.cs.Findings, store.Finding{
		FindingKey: store.FindingKey{Directory: p.want.Directory, Rule: rule, Kind: kind, Record: record},
		Org:        p.want.Org,
		Run:        p.want.Run,
		DN:         p.dn(kind, record),
		Sentence:   sentence,
		Name:       name,
		OpenedAt:   p.cs.Now,
		SeenAt:     p.cs.Now,
	})
}

// dn is the DN of the entry that a pull has read of a record, if it says so.
func (p *planner) dn(kind store.Kind, record string) string {
	if !p.pull() {
		return ""
	}
	if p.dns == nil {
		p.dns = make(map[store.Kind]map[string]string, 2)
		users, groups := make(map[string]string, len(p.want.Users)), make(map[string]string, len(p.want.Groups))
		for i := range p.want.Users {
			users[p.want.Users[i].Record.ExternalID] = p.want.Users[i].DN
		}
		for i := range p.want.Groups {
			groups[p.want.Groups[i].Record.ExternalID] = p.want.Groups[i].DN
		}
		p.dns[store.KindUser], p.dns[store.KindGroup] = users, groups
	}
	return p.dns[kind][record]
}

// recordName is how a finding names the record of a statement.
func recordName(r store.RecordKey, externalID string) string {
	switch {
	case r.ExternalID != "":
		return r.ExternalID
	case r.ID != "":
		return string(r.ID)
	default:
		return externalID
	}
}
