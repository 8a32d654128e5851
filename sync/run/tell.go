package run

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/provost-scim/provost/store"
)

// tellHeld queues a mail to each of those whom the organization wants to know of held
// runs (rule 6): one for each run.
func (r *reading) tellHeld(ctx context.Context, tx store.Tx, run *store.Run, classes []GuardClass, found []store.Finding) error {
	o, err := tx.OrganizationByKey(ctx, run.Org)
	if err != nil || len(o.Settings.NotifyEmails) == 0 {
		return err
	}
	held := store.HeldRun{Directory: run.DirectoryName}
	for _, f := range found {
		held.Why = append(held.Why, f.Sentence)
	}
	for _, c := range classes {
		held.Taken = append(held.Taken, store.TakenAway{Class: c.Class, Taken: c.Taken, Of: c.Of, OutOfScope: c.OutOfScope, Over: c.Over})
	}
	data, err := json.Marshal(held)
	if err != nil {
		return fmt.Errorf("describe what the run would take away: %w", err)
	}
	now := r.w.e.now()
	mails := make([]store.Mail, len(o.Settings.NotifyEmails))
	for i, to := range o.Settings.NotifyEmails {
		mails[i] = store.Mail{
			Org: run.Org, Directory: run.Directory, Kind: store.MailRunHeld, Recipient: to, Resource: run.ID,
			Dedupe: "run_held:" + string(run.ID) + ":" + to, Data: data, NextAttemptAt: now, CreatedAt: now,
		}
	}
	return tx.QueueMails(ctx, mails)
}
