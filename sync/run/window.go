package run

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/provost-scim/provost/store"
	"github.com/provost-scim/provost/sync/reconcile"
)

// window is one window of a stage as a statement.
type window struct {
	statement store.Statement
	users     []*store.Staged // of statement.Users
	groups    []*store.Staged // of statement.Groups
	invalid   []invalidRow
	results   []store.Result // of the statement
	rows      int
}

type invalidRow struct {
	row  *store.Staged
	body InvalidEntry
}

func newWindow(run *store.Run, cause store.Cause, rows []store.Staged) (*window, error) {
	of := &window{rows: len(rows), statement: store.Statement{
		Org: run.Org, Directory: run.Directory, Origin: store.OriginPull, Cause: cause, Run: run.Key,
	}}
	for i := range rows {
		if err := of.add(&rows[i]); err != nil {
			return nil, fmt.Errorf("staged row %d (%q): %w", rows[i].Seq, rows[i].ExternalID, err)
		}
	}
	return of, nil
}

func (of *window) add(row *store.Staged) error {
	switch {
	case row.Presence == Absent:
	case row.Presence == Invalid:
		v := invalidRow{row: row}
		if err := json.Unmarshal(row.Body, &v.body); err != nil {
			return err
		}
		of.invalid = append(of.invalid, v)
	case row.Kind == store.KindUser:
		s, err := userStatement(row)
		if err != nil {
			return err
		}
		of.statement.Users = append(of.statement.Users, s)
		of.users = append(of.users, row)
	default:
		s, err := groupStatement(row)
		if err != nil {
			return err
		}
		of.statement.Groups = append(of.statement.Groups, s)
		of.groups = append(of.groups, row)
	}
	return nil
}

func userStatement(row *store.Staged) (store.UserStatement, error) {
	s := store.UserStatement{Record: store.RecordKey{ExternalID: row.ExternalID}, Presence: row.Presence, ExternalID: row.ExternalID, DN: row.DN}
	if row.Presence != store.Present {
		return s, nil
	}
	var body store.StagedUser
	if err := json.Unmarshal(row.Body, &body); err != nil {
		return s, err
	}
	s.Active, s.Attributes = body.Active, body.Attributes
	if row.Manager != "" {
		enterprise := store.Enterprise{}
		if s.Attributes.Enterprise != nil {
			enterprise = *s.Attributes.Enterprise
		}
		enterprise.Manager = &store.Manager{Value: row.Manager}
		s.Attributes.Enterprise = &enterprise
	}
	hash := withManager(row.Hash, row.Manager)
	s.Hash = hash[:]
	return s, nil
}

func groupStatement(row *store.Staged) (store.GroupStatement, error) {
	s := store.GroupStatement{Record: store.RecordKey{ExternalID: row.ExternalID}, Presence: row.Presence, ExternalID: &row.ExternalID, DN: row.DN}
	if row.Presence != store.Present {
		return s, nil
	}
	var body store.StagedGroup
	if err := json.Unmarshal(row.Body, &body); err != nil {
		return s, err
	}
	s.DisplayName, s.Description = &body.DisplayName, &body.Description
	s.Members.Mode = store.MembersReplace
	s.Members.Add = make([]store.MemberRef, len(body.Members))
	for i, id := range body.Members {
		s.Members.Add[i] = store.MemberRef{ExternalID: id}
	}
	hash := withManager(row.Hash, "")
	s.Hash = hash[:]
	return s, nil
}

// count adds what became of the window's records; each is counted once.
func (of *window) count(c *store.RunCounts) {
	add := func(kind store.Kind, o store.Outcome) {
		if kind == store.KindUser {
			c.Users.Add(o, 1)
		} else {
			c.Groups.Add(o, 1)
		}
	}
	for i := range of.results {
		add(of.results[i].Kind, of.results[i].Outcome)
	}
	for _, v := range of.invalid {
		add(v.row.Kind, store.Refused)
	}
}

// drift adds the records that were changed although the directory told of nothing that
// concerns them.
func (of *window) drift(d *store.Drift, out *reconcile.Outcome) {
	if d == nil || d.Unknown != "" {
		return
	}
	add := func(count *int, row *store.Staged, r *store.Result, name string) {
		switch {
		case row.Told, r.Outcome == store.Unchanged, r.Outcome == store.Refused, r.Outcome == store.Duplicated:
			return
		}
		if *count++; len(d.Records) < store.MaxDriftRecords {
			d.Records = append(d.Records, store.DriftRecord{Kind: row.Kind, ID: r.ID, ExternalID: row.ExternalID, Name: name, Outcome: r.Outcome})
		}
	}
	for i, row := range of.users {
		add(&d.Users, row, &out.Results[i], out.Users[i].Attributes.UserName)
	}
	for i, row := range of.groups {
		add(&d.Groups, row, &out.Results[len(of.users)+i], out.Groups[i].DisplayName)
	}
}

// findings are those of entries that cannot become records.
func (of *window) findings(run *store.Run, now time.Time) []store.Finding {
	list := make([]store.Finding, len(of.invalid))
	for i, v := range of.invalid {
		list[i] = store.Finding{
			FindingKey: store.FindingKey{
				Directory: run.Directory, Rule: store.RuleInvalidEntry, Kind: v.row.Kind,
				Record: invalidRecord(v.row.ExternalID, v.row.DN),
			},
			Org: run.Org, Run: run.Key, RunID: run.ID, Name: v.body.Name, DN: v.row.DN,
			Sentence: v.body.Sentence, OpenedAt: now, SeenAt: now,
		}
	}
	return list
}
