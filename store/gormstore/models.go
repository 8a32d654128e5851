package gormstore

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/provost-scim/provost/store"
)

// moment is a time in a gorm model: null when zero, microseconds otherwise.
type moment struct{ time.Time }

// Scan reads either engine's form.
func (m *moment) Scan(src any) error { return scanTime(&m.Time).Scan(src) }

// Value makes gorm take the type for a column; GormValue is what is written.
func (m moment) Value() (driver.Value, error) { return m.Time, nil }

// GormValue writes the form of the engine.
func (m moment) GormValue(_ context.Context, db *gorm.DB) clause.Expr {
	e := engine{postgres: db.Name() == "postgres"}
	return clause.Expr{SQL: "?", Vars: []any{e.moment(m.Time)}}
}

// key is a nullable key in a gorm model: null when 0.
type key store.Key

// Scan reads a nullable integer.
func (k *key) Scan(src any) error { return scanKey((*store.Key)(k)).Scan(src) }

// Value writes null for 0.
func (k key) Value() (driver.Value, error) {
	if k == 0 {
		return nil, nil
	}
	return int64(k), nil
}

// directoryRow is a row of the table directory.
type directoryRow struct {
	ID         store.Key `gorm:"primaryKey"`
	OrgID      store.Key
	PublicID   store.ID
	Name       string
	NameFolded string
	Kind       store.DirectoryKind
	Settings   store.Settings `gorm:"serializer:json"`
	Secret     []byte
	Revision   int64
	CreatedAt  moment `gorm:"autoCreateTime:false"`
	UpdatedAt  moment `gorm:"autoUpdateTime:false"`
	SyncedAt   moment
}

// TableName is gorm's.
func (directoryRow) TableName() string { return "directory" }

func newDirectoryRow(d *store.Directory) *directoryRow {
	return &directoryRow{
		ID: d.Key, OrgID: d.Org, PublicID: d.ID, Name: d.Name, NameFolded: store.Fold(d.Name), Kind: d.Kind,
		Settings: d.Settings, Secret: d.Secret, Revision: d.Revision,
		CreatedAt: moment{d.CreatedAt}, UpdatedAt: moment{d.UpdatedAt}, SyncedAt: moment{d.SyncedAt},
	}
}

func (r directoryRow) record() store.Directory {
	return store.Directory{
		Key: r.ID, ID: r.PublicID, Org: r.OrgID, Name: r.Name, Kind: r.Kind, Settings: r.Settings, Secret: r.Secret,
		Revision: r.Revision, CreatedAt: r.CreatedAt.Time, UpdatedAt: r.UpdatedAt.Time, SyncedAt: r.SyncedAt.Time,
	}
}

// tokenRow is a row of the table token.
type tokenRow struct {
	ID          store.Key `gorm:"primaryKey"`
	PublicID    store.ID
	OrgID       key
	DirectoryID key
	Name        string
	Role        store.TokenRole
	Hash        []byte
	Prefix      string
	CreatedAt   moment `gorm:"autoCreateTime:false"`
	ExpiresAt   moment
	LastUsedAt  moment
	RevokedAt   moment
}

// TableName is gorm's.
func (tokenRow) TableName() string { return "token" }

func newTokenRow(t *store.Token) *tokenRow {
	return &tokenRow{
		ID: t.Key, PublicID: t.ID, OrgID: key(t.Org), DirectoryID: key(t.Directory), Name: t.Name, Role: t.Role,
		Hash: t.Hash, Prefix: t.Prefix, CreatedAt: moment{t.CreatedAt}, ExpiresAt: moment{t.ExpiresAt},
		LastUsedAt: moment{t.LastUsedAt}, RevokedAt: moment{t.RevokedAt},
	}
}

func (r tokenRow) record() store.Token {
	return store.Token{
		Key: r.ID, ID: r.PublicID, Org: store.Key(r.OrgID), Directory: store.Key(r.DirectoryID), Name: r.Name, Role: r.Role,
		Hash: r.Hash, Prefix: r.Prefix, CreatedAt: r.CreatedAt.Time, ExpiresAt: r.ExpiresAt.Time,
		LastUsedAt: r.LastUsedAt.Time, RevokedAt: r.RevokedAt.Time,
	}
}

// domainRow is a row of the table domain.
type domainRow struct {
	ID         store.Key `gorm:"primaryKey"`
	PublicID   store.ID
	OrgID      store.Key
	Name       string
	State      store.DomainState
	Challenge  string
	Vouched    bool
	Failures   int
	LastError  string
	CreatedAt  moment `gorm:"autoCreateTime:false"`
	VerifiedAt moment
	CheckedAt  moment
}

// TableName is gorm's.
func (domainRow) TableName() string { return "domain" }

func newDomainRow(d *store.Domain) *domainRow {
	return &domainRow{
		ID: d.Key, PublicID: d.ID, OrgID: d.Org, Name: d.Name, State: d.State, Challenge: d.Challenge,
		Vouched: d.Vouched, Failures: d.Failures, LastError: d.LastError,
		CreatedAt: moment{d.CreatedAt}, VerifiedAt: moment{d.VerifiedAt}, CheckedAt: moment{d.CheckedAt},
	}
}

func (r domainRow) record() store.Domain {
	return store.Domain{
		Key: r.ID, ID: r.PublicID, Org: r.OrgID, Name: r.Name, State: r.State, Challenge: r.Challenge,
		Vouched: r.Vouched, Failures: r.Failures, LastError: r.LastError,
		CreatedAt: r.CreatedAt.Time, VerifiedAt: r.VerifiedAt.Time, CheckedAt: r.CheckedAt.Time,
	}
}

// records turns rows into what the package returns.
func records[R interface{ record() T }, T any](rows []R) []T {
	out := make([]T, len(rows))
	for i, r := range rows {
		out[i] = r.record()
	}
	return out
}

// runRow is a row of the table run.
type runRow struct {
	ID            store.Key `gorm:"primaryKey"`
	PublicID      store.ID
	OrgID         store.Key
	DirectoryID   store.Key
	DirectoryName string `gorm:"->"` // of the joined directory
	State         store.RunState
	Phase         store.RunPhase
	Active        bool
	Apply         bool
	Approved      bool
	ApprovedBy    string
	DiscardedBy   string
	Incremental   bool
	Cause         store.Cause `gorm:"serializer:json"`
	Full          bool
	FullBecause   string
	Cookie        string
	Selection     *store.Selection `gorm:"serializer:json"`
	Revision      int64
	PolicyHash    string
	StageHash     string
	Windows       int
	NextWindow    int
	Plan          string
	Counts        store.RunCounts   `gorm:"serializer:json"`
	Drift         *store.Drift      `gorm:"serializer:json"`
	Progress      store.Progress    `gorm:"serializer:json"`
	Phases        []store.PhaseTime `gorm:"serializer:json"`
	Error         string
	Owner         string `gorm:"<-:create"`
	Fence         int64  `gorm:"<-:create"`
	Writes        int64  `gorm:"<-:create"`
	LeaseUntil    moment `gorm:"<-:create"`
	CreatedAt     moment `gorm:"autoCreateTime:false"`
	StartedAt     moment
	FinishedAt    moment
}

// TableName is gorm's.
func (runRow) TableName() string { return "run" }

func newRunRow(r *store.Run) *runRow {
	phases := r.Phases
	if phases == nil {
		phases = []store.PhaseTime{}
	}
	return &runRow{
		ID: r.Key, PublicID: r.ID, OrgID: r.Org, DirectoryID: r.Directory, State: r.State, Phase: r.Phase, Active: wantsWorker(r),
		Apply: r.Apply, Approved: r.Approved, ApprovedBy: r.ApprovedBy, DiscardedBy: r.DiscardedBy,
		Incremental: r.Incremental, Full: r.Full, FullBecause: r.FullBecause, Cookie: string(r.Cookie), Selection: r.Selection,
		Cause: r.Cause, Revision: r.Revision,
		PolicyHash: r.PolicyHash, StageHash: r.StageHash, Windows: r.Windows, NextWindow: r.NextWindow, Plan: string(r.Plan),
		Counts: r.Counts, Drift: r.Drift, Progress: r.Progress, Phases: phases, Error: r.Error,
		CreatedAt: moment{r.CreatedAt}, StartedAt: moment{r.StartedAt}, FinishedAt: moment{r.FinishedAt},
	}
}

func (r runRow) record() store.Run {
	return store.Run{
		Key: r.ID, ID: r.PublicID, Org: r.OrgID, Directory: r.DirectoryID, DirectoryName: r.DirectoryName,
		State: r.State, Phase: r.Phase, Apply: r.Apply, Approved: r.Approved, ApprovedBy: r.ApprovedBy, DiscardedBy: r.DiscardedBy,
		Incremental: r.Incremental, Full: r.Full, FullBecause: r.FullBecause, Cookie: raw(r.Cookie), Selection: r.Selection, Cause: r.Cause,
		Revision: r.Revision, PolicyHash: r.PolicyHash, StageHash: r.StageHash, Windows: r.Windows, NextWindow: r.NextWindow,
		Plan: raw(r.Plan), Counts: r.Counts, Drift: r.Drift, Progress: r.Progress, Phases: r.Phases, Error: r.Error,
		Owner: r.Owner, Fence: r.Fence, Writes: r.Writes, LeaseUntil: r.LeaseUntil.Time,
		CreatedAt: r.CreatedAt.Time, StartedAt: r.StartedAt.Time, FinishedAt: r.FinishedAt.Time,
	}
}

// raw is a stored JSON document; an empty text is none.
func raw(text string) json.RawMessage {
	if text == "" {
		return nil
	}
	return json.RawMessage(text)
}
