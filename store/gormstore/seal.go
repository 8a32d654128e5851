package gormstore

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"

	"github.com/provost-scim/provost/store"
)

// SealStage divides a stage into windows, numbered from 0 in the order in which they
// are applied.
//
// A window holds rows of one phase, so that members exist before the groups that
// name them. The exception are rows that trade a name: one claims what a stored
// record gives up in the same run, or several claim the same. They share a window,
// the earliest that any of them would have, however large it becomes; a record that
// is gone is thereby taken away before its name is given to another.
func (t *tx) SealStage(ctx context.Context, run store.Key, records, refs int) (windows int, digest string, err error) {
	if t.e.postgres {
		if _, err := t.exec(ctx, "ANALYZE stage"); err != nil {
			return 0, "", fmt.Errorf("analyse the stage of run %d: %w", run, err)
		}
	}
	trades, err := t.trades(ctx, run)
	if err != nil {
		return 0, "", fmt.Errorf("find contested names in the stage of run %d: %w", run, err)
	}
	w := windower{records: max(records, 1), refs: max(refs, 1), trades: trades}
	sum := sha256.New()
	// A phase at a time, because the primary key then gives the order without a sort.
	for _, phase := range []store.StagePhase{store.StageUsers, store.StageGroups, store.StageGone} {
		err := t.each(ctx, func(r scanner) error {
			row, err := scanStaged(r)
			if err != nil {
				return err
			}
			hashStaged(sum, &row)
			w.add(row.Seq, row.Phase, row.Weight)
			return nil
		}, "SELECT "+stageColumns+" FROM stage WHERE run_id = ? AND phase = ? ORDER BY seq", run, int(phase))
		if err != nil {
			return 0, "", fmt.Errorf("read the stage of run %d: %w", run, err)
		}
	}
	if err := t.batch(ctx, w.statements(run)); err != nil {
		return 0, "", fmt.Errorf("seal the stage of run %d: %w", run, err)
	}
	return w.count, hex.EncodeToString(sum.Sum(nil)), nil
}

// hashStaged adds all that a row says, each part with its length.
func hashStaged(sum hash.Hash, s *store.Staged) {
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		sum.Write(n[:])
		sum.Write(b)
	}
	for _, v := range []string{fmt.Sprint(int(s.Phase)), string(s.Kind), s.ExternalID, string(s.Presence), s.Manager, s.DN, fmt.Sprint(s.Known)} {
		part([]byte(v))
	}
	part(s.Body)
	part(s.Hash)
	part(binary.BigEndian.AppendUint64(nil, uint64(len(s.Keys))))
	for _, k := range s.Keys {
		part([]byte(k))
	}
}

// trade is a set of rows that must share a window.
type trade struct {
	seqs   []int64
	weight int
}

// trades finds the rows that trade names, each under its number in the stage.
func (t *tx) trades(ctx context.Context, run store.Key) (map[int64]*trade, error) {
	var directory, org store.Key
	if err := t.row(ctx, "SELECT directory_id, org_id FROM run WHERE id = ?", run).Scan(&directory, &org); err != nil {
		return nil, err
	}
	sets := unions{}
	type link struct {
		a, b             int64
		aWeight, bWeight int
	}
	scanLink := func(r scanner) (l link, err error) {
		err = r.Scan(&l.a, &l.aWeight, &l.b, &l.bWeight)
		return l, err
	}
	for _, query := range []struct {
		text string
		args []any
	}{
		{tradesWithStored("users", "user_name_folded", store.KindUser), []any{directory, org, run}},
		{tradesWithStored("groups", "display_name_folded", store.KindGroup), []any{directory, org, run}},
		{tradesWithinStage, []any{run, run}},
	} {
		links, err := collect(ctx, t.session, scanLink, query.text, query.args...)
		if err != nil {
			return nil, err
		}
		for _, l := range links {
			sets.join(l.a, l.aWeight, l.b, l.bWeight)
		}
	}
	return sets.trades(), nil
}

// tradesWithStored finds staged rows that claim a name which a stored record of the
// directory has, with the staged row of that record. CROSS JOIN makes SQLite begin
// with the stage, and the + keeps it from an index of no use; to PostgreSQL neither
// means anything.
func tradesWithStored(table, name string, kind store.Kind) string {
	return `SELECT p.seq, p.weight, s.seq, s.weight
		FROM stage AS p
		CROSS JOIN ` + table + ` AS r
		CROSS JOIN stage AS s
		WHERE p.kind = '` + string(kind) + `' AND p.presence = '' AND p.name_key <> ''
			AND r.` + name + ` = p.name_key AND coalesce(r.directory_id, 0) = ? AND r.org_id = ? AND r.deleted_at IS NULL
			AND r.external_id <> p.external_id
			AND p.run_id = ? AND +s.run_id = p.run_id AND s.kind = p.kind AND s.external_id = r.external_id`
}

// tradesWithinStage links each row to the first that claims the same name.
const tradesWithinStage = `SELECT f.seq, f.weight, p.seq, p.weight
	FROM (
		SELECT kind, name_key, min(seq) AS seq FROM stage
		WHERE run_id = ? AND presence = '' AND name_key <> '' GROUP BY kind, name_key HAVING count(*) > 1
	) AS c
	JOIN stage AS f ON f.seq = c.seq
	JOIN stage AS p ON +p.run_id = f.run_id AND p.kind = c.kind AND p.name_key = c.name_key AND p.presence = '' AND p.seq <> f.seq
	WHERE f.run_id = ?`

// unions is a union-find over rows of a stage.
type unions map[int64]*unionNode

type unionNode struct {
	seq    int64
	weight int
	parent *unionNode
}

func (u unions) root(seq int64, weight int) *unionNode {
	n := u[seq]
	if n == nil {
		n = &unionNode{seq: seq, weight: weight}
		n.parent = n
		u[seq] = n
	}
	for n.parent != n {
		n.parent = n.parent.parent
		n = n.parent
	}
	return n
}

func (u unions) join(a int64, aWeight int, b int64, bWeight int) {
	u.root(a, aWeight).parent = u.root(b, bWeight)
}

func (u unions) trades() map[int64]*trade {
	byRoot := map[*unionNode]*trade{}
	bySeq := make(map[int64]*trade, len(u))
	for seq, n := range u {
		root := u.root(seq, n.weight)
		if byRoot[root] == nil {
			byRoot[root] = &trade{}
		}
		t := byRoot[root]
		t.seqs = append(t.seqs, seq)
		t.weight += n.weight
		bySeq[seq] = t
	}
	for _, t := range byRoot {
		slices.Sort(t.seqs)
	}
	return bySeq
}

// windower fills windows with rows in the order in which they come: by phase.
type windower struct {
	records, refs int
	trades        map[int64]*trade

	count  int // windows begun
	phase  store.StagePhase
	inside int // records and references of the last window
	weight int
	placed map[*trade]bool
	ranges []windowRange
	single []windowRow
}

// windowRange is a run of rows of one phase that go to one window.
type windowRange struct {
	window      int
	phase       store.StagePhase
	first, last int64
}

type windowRow struct {
	window int
	seq    int64
}

func (w *windower) add(seq int64, phase store.StagePhase, weight int) {
	t := w.trades[seq]
	if t == nil {
		window := w.place(phase, 1, weight)
		if n := len(w.ranges); n > 0 && w.ranges[n-1].window == window {
			w.ranges[n-1].last = seq
			return
		}
		w.ranges = append(w.ranges, windowRange{window, phase, seq, seq})
		return
	}
	if w.placed[t] {
		return
	}
	if w.placed == nil {
		w.placed = map[*trade]bool{}
	}
	w.placed[t] = true
	window := w.place(phase, len(t.seqs), t.weight)
	for _, s := range t.seqs {
		w.single = append(w.single, windowRow{window, s})
	}
}

// place counts records into the last window, or begins one if they do not fit.
func (w *windower) place(phase store.StagePhase, records, weight int) int {
	fits := w.count > 0 && phase == w.phase && w.inside+records <= w.records && w.weight+weight <= w.refs
	if !fits {
		w.count++
		w.phase, w.inside, w.weight = phase, 0, 0
	}
	w.inside += records
	w.weight += weight
	return w.count - 1
}

// statements write the windows. Rows that trade lie within the ranges of others, so
// they are written last.
func (w *windower) statements(run store.Key) []statement {
	out := make([]statement, 0, len(w.ranges)+len(w.single))
	for _, r := range w.ranges {
		out = append(out, statement{
			query: "UPDATE stage SET window_no = ? WHERE run_id = ? AND phase = ? AND seq BETWEEN ? AND ?",
			args:  []any{r.window, run, int(r.phase), r.first, r.last}, want: -1,
		})
	}
	slices.SortFunc(w.single, func(a, b windowRow) int { return cmp.Compare(a.seq, b.seq) })
	for _, r := range w.single {
		out = append(out, statement{
			query: "UPDATE stage SET window_no = ? WHERE run_id = ? AND seq = ?", args: []any{r.window, run, r.seq}, want: 1,
		})
	}
	return out
}
