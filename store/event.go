package store

import (
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// Types of events. Payloads only ever gain fields.
const (
	EventUserCreated      = "user.created"
	EventUserUpdated      = "user.updated"
	EventUserDeleted      = "user.deleted"
	EventUserRestored     = "user.restored"
	EventUserPurged       = "user.purged" // deleted for good; what the log told of it is redacted
	EventUserClaimed      = "user.claimed"
	EventUserHandedOver   = "user.handed_over" // to another directory: data.from, data.to, and what changed
	EventGroupCreated     = "group.created"
	EventGroupUpdated     = "group.updated"
	EventGroupDeleted     = "group.deleted"
	EventGroupHandedOver  = "group.handed_over"
	EventGroupRestored    = "group.restored"
	EventGroupPurged      = "group.purged"
	EventMembersChanged   = "group.members_changed"   // direct members: data.added, data.removed
	EventEffectiveChanged = "group.effective_changed" // published effective users: data.added, data.removed, data.count, data.over_cap
	EventDirectoryCreated = "directory.created"
	EventDirectoryUpdated = "directory.updated"
	EventDirectoryDeleted = "directory.deleted"
	EventHandoverStarted  = "directory.handover_started"
	EventHandoverEnded    = "directory.handover_ended"
	EventOrgCreated       = "organization.created"
	EventOrgUpdated       = "organization.updated"
	EventTokenCreated     = "token.created"
	EventTokenRevoked     = "token.revoked"
	EventOIDCBound        = "oidc_binding.created"
	EventOIDCUnbound      = "oidc_binding.deleted"
	EventDomainAdded      = "domain.added"
	EventDomainVerified   = "domain.verified"
	EventDomainFailed     = "domain.failed"
	EventDomainDeleted    = "domain.deleted"
	EventRunStarted       = "run.started" // by a person; a scheduled run tells of its end alone
	EventRunHeld          = "run.held"
	EventRunSucceeded     = "run.succeeded"
	EventRunFailed        = "run.failed"
	EventRunApproved      = "run.approved"
	EventRunDiscarded     = "run.discarded"

	EventEntitlementCreated = "entitlement.created"
	EventEntitlementUpdated = "entitlement.updated"
	EventEntitlementDeleted = "entitlement.deleted" // with every grant of it
	EventGrantAdded         = "grant.added"         // of a user or a group: data.entitlement
	EventGrantRemoved       = "grant.removed"
	EventWebhookCreated     = "webhook.created"
	EventWebhookUpdated     = "webhook.updated"
	EventWebhookDeleted     = "webhook.deleted"
	EventWebhookRotated     = "webhook.secret_rotated"
	EventWebhookRedelivered = "webhook.redelivered" // by a person: data.delivery, data.event, data.type
	EventWebhookDisabled    = "webhook.disabled"    // by itself: data.reason
	EventMailSent           = "mail.sent"           // of the user or the run that it is about: data.mail, data.kind, data.recipient, data.message_id, data.attempts
	EventMailFailed         = "mail.failed"
	EventMailUncertain      = "mail.uncertain"
)

// EventTypes are all of them.
var EventTypes = []string{
	EventUserCreated,
	EventUserUpdated,
	EventUserDeleted,
	EventUserRestored,
	EventUserPurged,
	EventUserClaimed,
	EventUserHandedOver,
	EventGroupCreated,
	EventGroupUpdated,
	EventGroupDeleted,
	EventGroupHandedOver,
	EventGroupRestored,
	EventGroupPurged,
	EventMembersChanged,
	EventEffectiveChanged,
	EventDirectoryCreated,
	EventDirectoryUpdated,
	EventDirectoryDeleted,
	EventHandoverStarted,
	EventHandoverEnded,
	EventOrgCreated,
	EventOrgUpdated,
	EventTokenCreated,
	EventTokenRevoked,
	EventOIDCBound,
	EventOIDCUnbound,
	EventDomainAdded,
	EventDomainVerified,
	EventDomainFailed,
	EventDomainDeleted,
	EventRunStarted,
	EventRunHeld,
	EventRunSucceeded,
	EventRunFailed,
	EventRunApproved,
	EventRunDiscarded,
	EventEntitlementCreated,
	EventEntitlementUpdated,
	EventEntitlementDeleted,
	EventGrantAdded,
	EventGrantRemoved,
	EventWebhookCreated,
	EventWebhookUpdated,
	EventWebhookDeleted,
	EventWebhookRotated,
	EventWebhookRedelivered,
	EventWebhookDisabled,
	EventMailSent,
	EventMailFailed,
	EventMailUncertain,
}

// MatchingEvents are the types that fit any of the patterns: a type, or "user.*" for all
// that begin with "user.".
func MatchingEvents(patterns []string) (types []string) {
	for _, t := range EventTypes {
		if slices.ContainsFunc(patterns, func(p string) bool {
			begin, many := strings.CutSuffix(p, "*")
			return p == t || many && strings.HasPrefix(t, begin)
		}) {
			types = append(types, t)
		}
	}
	return types
}

// EventVersion is the version of every payload written by this program.
const EventVersion = 1

// EventIDs is the most ids that one membership event carries.
const EventIDs = 1000

// Event is one row of the log that is both the audit trail and the feed (rule 11).
type Event struct {
	Cursor    int64 // the place in the organization's order; set when read
	ID        ID    // made by Append when empty
	Org       Key
	Directory Key
	Type      string
	Version   int
	Kind      string // of the resource: User, Group, Directory, …
	Resource  ID
	Cause     Cause
	Data      json.RawMessage // an object: "before" and "after", or the change
	Time      time.Time
}
