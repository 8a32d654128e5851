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
	"strings"

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
	if err := t.analyseStage(ctx, run); err != nil {
		return 0, "", err
	}
	trades, err := t.trades(ctx, run)
	if err != nil {
		return 0, "", fmt.Errorf("find contested names in the stage of run %d: %w", run, err)
	}
	w := windower{records: max(records, 1), refs: max(refs, 1), trades: trades}
	sum := sha256.New()
	// A phase at a time, because the primary key then gives the order without a sort.
	var phases []ask
	for _, phase := range []store.StagePhase{store.StageUsers, store.StageGroups, store.StageGone} {
		phases = append(phases, ask{
			what:  fmt.Sprintf("read phase %d", phase),
			query: "SELECT " + t.sealedColumns() + " FROM stage WHERE run_id = ? AND phase = ? ORDER BY seq", args: []any{run, int(phase)},
			each: func(r scanner) error {
				row, err := scanStaged(r)
				if err != nil {
					return err
				}
				hashStaged(sum, &row)
				w.add(row.Seq, row.Phase, row.Weight)
				return nil
			},
		})
	}
	if err := t.read(ctx, phases...); err != nil {
		return 0, "", fmt.Errorf("read the stage of run %d: %w", run, err)
	}
	if err := w.write(ctx, t, run); err != nil {
		return 0, "", fmt.Errorf("seal the stage of run %d: %w", run, err)
	}
	return w.count, hex.EncodeToString(sum.Sum(nil)), nil
}

// sealedColumns are those of scanStaged, of the body a digest where the database can
// make one, so that bodies do not travel again.
func (t *tx) sealedColumns() string {
	if !t.e.postgres {
		return stageColumns
	}
	return strings.Replace(stageColumns, "body", "encode(sha256(convert_to(body, 'UTF8')), 'hex')", 1)
}

// analyseStage tells PostgreSQL's planner what the fresh rows of a large stage look like.
// Without it the planner takes a run for a few rows and reads all of it for each one
// that it looks for. Of a stage of few rows plans are kept, as those of a load are: to
// make them took most of the time.
func (t *tx) analyseStage(ctx context.Context, run store.Key) error {
	if !t.e.postgres {
		return nil
	}
	rows, err := find(ctx, t.session, value[int], "SELECT count(*) FROM (SELECT 1 FROM stage WHERE run_id = ? LIMIT ?) AS s", run, many)
	switch {
	case err != nil:
	case rows == many:
		_, err = t.exec(ctx, "ANALYZE stage")
	case rows <= few:
		_, err = t.exec(ctx, keepPlans)
	}
	if err != nil {
		return fmt.Errorf("analyse the stage: %w", err)
	}
	return nil
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

// trades finds the rows that trade names, each under its number in the stage. None of
// its queries joins the stage with something that has no index for it, because what
// the planner knows of fresh rows is not to be relied on.
func (t *tx) trades(ctx context.Context, run store.Key) (map[int64]*trade, error) {
	var asks []ask
	claims := map[store.Kind][]claim{}
	for _, of := range []struct {
		kind        store.Kind
		table, name string
	}{
		{store.KindUser, "users", "user_name_folded"},
		{store.KindGroup, "groups", "display_name_folded"},
	} {
		asks = append(asks, ask{
			what: "find who holds names",
			query: `SELECT seq, weight, holder FROM (
					SELECT p.seq, p.weight, p.external_id, (SELECT r.external_id FROM ` + of.table + ` AS r WHERE r.` + of.name + ` = p.name_key
						AND coalesce(r.directory_id, 0) = (SELECT directory_id FROM run WHERE id = ?) AND r.org_id = (SELECT org_id FROM run WHERE id = ?)
						AND r.deleted_at IS NULL) AS holder
					FROM stage AS p WHERE p.run_id = ? AND p.kind = ? AND p.presence = '' AND p.name_key <> ''
				) AS c WHERE holder <> external_id`,
			args: []any{run, run, run, string(of.kind)},
			each: func(r scanner) error {
				c, err := scanClaim(r)
				claims[of.kind] = append(claims[of.kind], c)
				return err
			},
		})
	}
	sets := unions{}
	// Rows that claim the same name, each with the first of them, which comes first.
	asks = append(asks, ask{
		what: "find rows of one name",
		query: `SELECT seq, weight, earliest FROM (
				SELECT seq, weight, min(seq) OVER same AS earliest, count(*) OVER same AS claims FROM stage
				WHERE run_id = ? AND presence = '' AND name_key <> '' WINDOW same AS (PARTITION BY kind, name_key)
			) AS c WHERE claims > 1 ORDER BY earliest, seq`,
		args: []any{run},
		each: func(r scanner) error {
			var seq, first int64
			var weight int
			err := r.Scan(&seq, &weight, &first)
			sets.join(seq, weight, first, weight)
			return err
		},
	})
	if err := t.read(ctx, asks...); err != nil {
		return nil, err
	}
	for _, kind := range []store.Kind{store.KindUser, store.KindGroup} {
		if err := t.joinHolders(ctx, run, kind, claims[kind], sets); err != nil {
			return nil, err
		}
	}
	return sets.trades(), nil
}

// claim is a staged row with the stable id of a record: its own, or that of the stored
// record which has the name that it claims.
type claim struct {
	seq    int64
	weight int
	id     string
}

func scanClaim(r scanner) (c claim, err error) {
	err = r.Scan(&c.seq, &c.weight, &c.id)
	return c, err
}

// holdersAtOnce bounds how many stable ids one statement looks for.
const holdersAtOnce = 10_000

// joinHolders joins each claim with the staged row of the holder, if it is staged.
func (t *tx) joinHolders(ctx context.Context, run store.Key, kind store.Kind, claims []claim, sets unions) error {
	for chunk := range slices.Chunk(claims, holdersAtOnce) {
		by := make(map[string][]claim, len(chunk))
		ids := make([]string, len(chunk))
		for i, c := range chunk {
			ids[i] = c.id
			by[c.id] = append(by[c.id], c)
		}
		f, list := t.texts(ids)
		err := t.each(ctx, func(r scanner) error {
			held, err := scanClaim(r)
			for _, c := range by[held.id] {
				sets.join(c.seq, c.weight, held.seq, held.weight)
			}
			return err
		}, "SELECT seq, weight, external_id FROM stage WHERE run_id = ? AND kind = ? AND external_id IN (SELECT v FROM "+f+" AS k)",
			run, string(kind), list)
		if err != nil {
			return err
		}
	}
	return nil
}

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

// write writes the windows: ranges, and the rows that trade, which lie within the
// ranges of others.
func (w *windower) write(ctx context.Context, t *tx, run store.Key) error {
	out := writes{tx: t, what: "divide it into windows"}
	out.add(
		statement{query: "DELETE FROM stage_window WHERE run_id = ?", args: []any{run}, want: -1},
		statement{query: "UPDATE stage SET window_no = NULL WHERE run_id = ? AND window_no IS NOT NULL", args: []any{run}, want: -1},
	)
	rows := make([][]any, len(w.ranges))
	for i, r := range w.ranges {
		rows[i] = []any{run, r.window, int(r.phase), r.first, r.last}
	}
	out.insert("stage_window", []string{"run_id", "window_no", "phase", "first", "last"}, rows)
	slices.SortFunc(w.single, func(a, b windowRow) int { return cmp.Compare(a.seq, b.seq) })
	for _, r := range w.single {
		out.add(statement{query: "UPDATE stage SET window_no = ? WHERE run_id = ? AND seq = ?", args: []any{r.window, run, r.seq}, want: 1})
	}
	return out.flush(ctx)
}
