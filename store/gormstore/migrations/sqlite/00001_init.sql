-- +goose Up
-- The same schema as PostgreSQL's, name by name. Times are microseconds since 1970
-- in UTC; keys are rowids that are never given out again; every text is compared
-- bytewise.

CREATE TABLE organization (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id   TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL UNIQUE,
    settings    TEXT NOT NULL DEFAULT '{}', -- JSON
    revision    INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL
);

-- One row an organization. PostgreSQL locks it; here there is one writer.
CREATE TABLE org_graph (
    org_id INTEGER PRIMARY KEY REFERENCES organization (id) ON DELETE CASCADE
);

CREATE TABLE directory (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id      INTEGER NOT NULL REFERENCES organization (id),
    public_id   TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    kind        TEXT NOT NULL CHECK (kind IN ('scim', 'ldap')),
    settings    TEXT NOT NULL,
    secret      BLOB,
    revision    INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    synced_at   INTEGER,
    UNIQUE (org_id, id),
    UNIQUE (name_folded, org_id)
);

CREATE TABLE token (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id    TEXT NOT NULL UNIQUE,
    org_id       INTEGER REFERENCES organization (id), -- null: the whole instance
    directory_id INTEGER,
    name         TEXT NOT NULL DEFAULT '',
    role         TEXT NOT NULL CHECK (role IN ('directory', 'owner', 'admin', 'auditor')),
    hash         BLOB NOT NULL UNIQUE,
    prefix       TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    last_used_at INTEGER,
    revoked_at   INTEGER,
    CHECK ((role = 'directory') = (directory_id IS NOT NULL))
);
CREATE INDEX token_directory ON token (directory_id, org_id);
CREATE INDEX token_org ON token (org_id, id);

-- Clients that authenticate with tokens of an OpenID Connect issuer. The unique key is how a token's binding is found.
CREATE TABLE oidc_binding (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id    TEXT NOT NULL UNIQUE,
    org_id       INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    name         TEXT NOT NULL,
    issuer       TEXT NOT NULL,
    audience     TEXT NOT NULL,
    subject      TEXT NOT NULL DEFAULT '', -- empty: any
    app_id       TEXT NOT NULL DEFAULT '', -- empty: any
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER,
    UNIQUE (issuer, audience, subject, app_id),
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id) ON DELETE CASCADE,
    CHECK (subject <> '' OR app_id <> '')
);
CREATE INDEX oidc_binding_directory ON oidc_binding (directory_id, org_id);

CREATE TABLE domain (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id   TEXT NOT NULL UNIQUE,
    org_id      INTEGER NOT NULL REFERENCES organization (id),
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'verified', 'failed')),
    challenge   TEXT NOT NULL,
    vouched     boolean NOT NULL DEFAULT false,
    failures    INTEGER NOT NULL DEFAULT 0,
    last_error  TEXT NOT NULL DEFAULT '',
    created_at  INTEGER NOT NULL,
    verified_at INTEGER,
    checked_at  INTEGER,
    UNIQUE (name, org_id)
);
CREATE INDEX domain_org ON domain (org_id, name);
-- A verified domain is verified by one organization only.
CREATE UNIQUE INDEX domain_verified ON domain (name) WHERE state = 'verified';

-- The attributes document holds the whole of a user's SCIM attributes; the folded
-- columns and user_value repeat what filters look at.
CREATE TABLE users (
    org_id              INTEGER NOT NULL,
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id           TEXT NOT NULL UNIQUE,
    directory_id        INTEGER, -- null: internal
    external_id         TEXT NOT NULL DEFAULT '',
    user_name           TEXT NOT NULL,
    user_name_folded    TEXT NOT NULL,
    display_name_folded TEXT NOT NULL DEFAULT '',
    given_name_folded   TEXT NOT NULL DEFAULT '',
    family_name_folded  TEXT NOT NULL DEFAULT '',
    title_folded        TEXT NOT NULL DEFAULT '',
    user_type_folded    TEXT NOT NULL DEFAULT '',
    department_folded   TEXT NOT NULL DEFAULT '',
    employee_number_folded TEXT NOT NULL DEFAULT '',
    manager             TEXT NOT NULL DEFAULT '',
    domain              TEXT NOT NULL DEFAULT '', -- that decides about the user (rule 3)
    attributes          TEXT NOT NULL, -- JSON, read and written whole
    stated              boolean NOT NULL,
    enabled             boolean NOT NULL,
    out_of_scope        boolean NOT NULL DEFAULT false,
    version             INTEGER NOT NULL,
    hash                BLOB,
    created_at          INTEGER NOT NULL,
    modified_at         INTEGER NOT NULL,
    deleted_at          INTEGER,
    UNIQUE (org_id, id),
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id)
);
CREATE UNIQUE INDEX users_name ON users (user_name_folded, (coalesce(directory_id, 0)), org_id) WHERE deleted_at IS NULL;
CREATE INDEX users_external ON users (external_id, directory_id) WHERE external_id <> '';
CREATE INDEX users_domain ON users (domain, org_id, id) WHERE deleted_at IS NULL;
CREATE INDEX users_directory ON users (directory_id, id) WHERE deleted_at IS NULL;
CREATE INDEX users_deleted ON users (user_name_folded, directory_id) WHERE deleted_at IS NOT NULL;
CREATE INDEX users_apart ON users (org_id, id) WHERE deleted_at IS NOT NULL OR out_of_scope;
CREATE INDEX users_idle ON users (directory_id, out_of_scope) WHERE deleted_at IS NULL AND (NOT stated OR out_of_scope);

-- One row an element of a multi-valued attribute (sub: the sub-attribute that text
-- is of), or a rarely used single value. fold_key is at most 256 bytes of folded.
CREATE TABLE user_value (
    org_id      INTEGER NOT NULL,
    user_id     INTEGER NOT NULL,
    attr        TEXT NOT NULL,
    sub         TEXT NOT NULL DEFAULT 'value',
    ord         INTEGER NOT NULL DEFAULT 0,
    text        TEXT NOT NULL,
    folded      TEXT NOT NULL,
    fold_key    TEXT NOT NULL,
    type_folded TEXT NOT NULL DEFAULT '',
    is_primary  boolean NOT NULL DEFAULT false,
    PRIMARY KEY (user_id, attr, sub, ord),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX user_value_fold ON user_value (fold_key, attr, org_id);

CREATE TABLE groups (
    org_id              INTEGER NOT NULL,
    id                  INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id           TEXT NOT NULL UNIQUE,
    directory_id        INTEGER,
    external_id         TEXT NOT NULL DEFAULT '',
    display_name        TEXT NOT NULL,
    display_name_folded TEXT NOT NULL,
    description         TEXT NOT NULL DEFAULT '',
    out_of_scope        boolean NOT NULL DEFAULT false,
    effective_count     INTEGER NOT NULL DEFAULT 0,
    over_cap            boolean NOT NULL DEFAULT false,
    stale               boolean NOT NULL DEFAULT false, -- effective awaits publishing
    version             INTEGER NOT NULL,
    hash                BLOB,
    created_at          INTEGER NOT NULL,
    modified_at         INTEGER NOT NULL,
    deleted_at          INTEGER,
    UNIQUE (org_id, id),
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id)
);
CREATE UNIQUE INDEX groups_name ON groups (display_name_folded, (coalesce(directory_id, 0)), org_id) WHERE deleted_at IS NULL;
CREATE INDEX groups_external ON groups (external_id, directory_id) WHERE external_id <> '';
CREATE INDEX groups_directory ON groups (directory_id, id) WHERE deleted_at IS NULL;
CREATE INDEX groups_stale ON groups (org_id, id) WHERE stale;
CREATE INDEX groups_deleted ON groups (display_name_folded, directory_id) WHERE deleted_at IS NOT NULL;
CREATE INDEX groups_out ON groups (directory_id) WHERE deleted_at IS NULL AND out_of_scope;

-- How many live users and groups a directory has (0: the internal ones) is the sum of these. With one
-- writer there is one row for each.
CREATE TABLE tally (
    id           INTEGER PRIMARY KEY,
    org_id       INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    n            INTEGER NOT NULL
);
CREATE INDEX tally_directory ON tally (directory_id, kind, org_id);
-- +goose StatementBegin
CREATE TRIGGER users_tally_added AFTER INSERT ON users WHEN NEW.deleted_at IS NULL
BEGIN
    INSERT INTO tally (org_id, directory_id, kind, n) SELECT NEW.org_id, coalesce(NEW.directory_id, 0), 'User', 0
        WHERE NEW.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM tally WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'User');
    UPDATE tally SET n = n + 1 WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'User' AND NEW.deleted_at IS NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_tally_moved AFTER UPDATE OF directory_id, deleted_at ON users WHEN OLD.directory_id IS NOT NEW.directory_id OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)
BEGIN
    UPDATE tally SET n = n - 1 WHERE org_id = OLD.org_id AND directory_id = coalesce(OLD.directory_id, 0) AND kind = 'User' AND OLD.deleted_at IS NULL;
    INSERT INTO tally (org_id, directory_id, kind, n) SELECT NEW.org_id, coalesce(NEW.directory_id, 0), 'User', 0
        WHERE NEW.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM tally WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'User');
    UPDATE tally SET n = n + 1 WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'User' AND NEW.deleted_at IS NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER users_tally_gone AFTER DELETE ON users WHEN OLD.deleted_at IS NULL
BEGIN
    UPDATE tally SET n = n - 1 WHERE org_id = OLD.org_id AND directory_id = coalesce(OLD.directory_id, 0) AND kind = 'User' AND OLD.deleted_at IS NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_tally_added AFTER INSERT ON groups WHEN NEW.deleted_at IS NULL
BEGIN
    INSERT INTO tally (org_id, directory_id, kind, n) SELECT NEW.org_id, coalesce(NEW.directory_id, 0), 'Group', 0
        WHERE NEW.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM tally WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'Group');
    UPDATE tally SET n = n + 1 WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'Group' AND NEW.deleted_at IS NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_tally_moved AFTER UPDATE OF directory_id, deleted_at ON groups WHEN OLD.directory_id IS NOT NEW.directory_id OR (OLD.deleted_at IS NULL) <> (NEW.deleted_at IS NULL)
BEGIN
    UPDATE tally SET n = n - 1 WHERE org_id = OLD.org_id AND directory_id = coalesce(OLD.directory_id, 0) AND kind = 'Group' AND OLD.deleted_at IS NULL;
    INSERT INTO tally (org_id, directory_id, kind, n) SELECT NEW.org_id, coalesce(NEW.directory_id, 0), 'Group', 0
        WHERE NEW.deleted_at IS NULL AND NOT EXISTS (SELECT 1 FROM tally WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'Group');
    UPDATE tally SET n = n + 1 WHERE org_id = NEW.org_id AND directory_id = coalesce(NEW.directory_id, 0) AND kind = 'Group' AND NEW.deleted_at IS NULL;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER groups_tally_gone AFTER DELETE ON groups WHEN OLD.deleted_at IS NULL
BEGIN
    UPDATE tally SET n = n - 1 WHERE org_id = OLD.org_id AND directory_id = coalesce(OLD.directory_id, 0) AND kind = 'Group' AND OLD.deleted_at IS NULL;
END;
-- +goose StatementEnd

-- Names by which records are known in their organization (rule 2). Directories do
-- not share a key; holders of one directory do. directory_id 0 is internal.
CREATE TABLE identity_key (
    folded       TEXT NOT NULL,
    kind         TEXT NOT NULL,
    org_id       INTEGER NOT NULL, -- that of the records, which refer to it
    directory_id INTEGER NOT NULL,
    holders      INTEGER NOT NULL CHECK (holders > 0),
    PRIMARY KEY (folded, kind, org_id)
) WITHOUT ROWID;

-- What directories state: users in groups, groups in groups, and stable ids that
-- are not known yet. A user's edges outlive its soft deletion, those of a group do not.
CREATE TABLE member (
    org_id   INTEGER NOT NULL,
    group_id INTEGER NOT NULL,
    user_id  INTEGER NOT NULL,
    PRIMARY KEY (group_id, user_id),
    FOREIGN KEY (org_id, group_id) REFERENCES groups (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX member_user ON member (user_id);

CREATE TABLE nest (
    org_id    INTEGER NOT NULL,
    parent_id INTEGER NOT NULL,
    child_id  INTEGER NOT NULL,
    PRIMARY KEY (parent_id, child_id),
    FOREIGN KEY (org_id, parent_id) REFERENCES groups (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, child_id) REFERENCES groups (org_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX nest_child ON nest (child_id);

CREATE TABLE pending_member (
    org_id      INTEGER NOT NULL,
    group_id    INTEGER NOT NULL,
    external_id TEXT NOT NULL,
    PRIMARY KEY (group_id, external_id),
    FOREIGN KEY (org_id, group_id) REFERENCES groups (org_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX pending_member_external ON pending_member (external_id);

-- Derived from member and nest, only ever by statements of one organization. support
-- counts the groups at or below group_id that hold the user directly.
CREATE TABLE effective (
    group_id  INTEGER NOT NULL,
    user_id   INTEGER NOT NULL,
    support   INTEGER NOT NULL CHECK (support > 0),
    published boolean NOT NULL,
    PRIMARY KEY (group_id, user_id)
) WITHOUT ROWID;
CREATE INDEX effective_user ON effective (user_id);
CREATE INDEX effective_unpublished ON effective (group_id) WHERE NOT published;

-- What an organization grants: roles, licences (seats null: without limit), products.
CREATE TABLE entitlement (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    org_id      INTEGER NOT NULL REFERENCES organization (id),
    public_id   TEXT NOT NULL UNIQUE,
    kind        TEXT NOT NULL CHECK (kind IN ('role', 'licence', 'product')),
    name        TEXT NOT NULL,
    name_folded TEXT NOT NULL,
    description TEXT NOT NULL DEFAULT '',
    seats       INTEGER,
    taken       INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0),
    revision    INTEGER NOT NULL DEFAULT 1,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (org_id, id),
    UNIQUE (name_folded, kind, org_id),
    CHECK (seats IS NULL OR taken <= seats)
);

CREATE TABLE user_grant (
    org_id         INTEGER NOT NULL,
    user_id        INTEGER NOT NULL,
    entitlement_id INTEGER NOT NULL,
    granted_at     INTEGER NOT NULL,
    PRIMARY KEY (user_id, entitlement_id),
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, entitlement_id) REFERENCES entitlement (org_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX user_grant_entitlement ON user_grant (entitlement_id, user_id);

-- suspended_at: product access that went with its group (rule 9) and may come back.
CREATE TABLE group_grant (
    org_id         INTEGER NOT NULL,
    group_id       INTEGER NOT NULL,
    entitlement_id INTEGER NOT NULL,
    granted_at     INTEGER NOT NULL,
    suspended_at   INTEGER,
    PRIMARY KEY (group_id, entitlement_id),
    FOREIGN KEY (org_id, group_id) REFERENCES groups (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, entitlement_id) REFERENCES entitlement (org_id, id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX group_grant_entitlement ON group_grant (entitlement_id, group_id);
CREATE INDEX group_grant_suspended ON group_grant (org_id, group_id) WHERE suspended_at IS NOT NULL;

-- Users and groups that imports have put in the scope of a directory of which only a part is pulled.
CREATE TABLE scope_entry (
    id           INTEGER PRIMARY KEY,
    org_id       INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    external_id  TEXT    NOT NULL,
    name         TEXT    NOT NULL, -- userName or displayName when it joined
    joined_at    INTEGER NOT NULL,
    UNIQUE (directory_id, external_id, kind),
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id) ON DELETE CASCADE
);

-- Entries of a directory that have others below them: where its users and groups are, or were.
CREATE TABLE container (
    org_id       INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    hash         TEXT NOT NULL, -- of the DN, as it is in the hashes of what is below it
    dn           TEXT NOT NULL,
    PRIMARY KEY (directory_id, hash),
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id) ON DELETE CASCADE
);

-- Which directory takes over records of which (rule 1).
CREATE TABLE handover (
    org_id     INTEGER NOT NULL,
    to_id      INTEGER NOT NULL,
    from_id    INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    started_by TEXT NOT NULL,
    PRIMARY KEY (to_id, from_id),
    FOREIGN KEY (org_id, to_id) REFERENCES directory (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, from_id) REFERENCES directory (org_id, id) ON DELETE CASCADE
);

-- Records that a directory has handed over, as it still names them: one of user_id and group_id is set.
CREATE TABLE alias (
    org_id       INTEGER NOT NULL,
    directory_id INTEGER NOT NULL,
    external_id  TEXT NOT NULL,
    user_id      INTEGER,
    group_id     INTEGER,
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, user_id) REFERENCES users (org_id, id) ON DELETE CASCADE,
    FOREIGN KEY (org_id, group_id) REFERENCES groups (org_id, id) ON DELETE CASCADE
);
CREATE INDEX alias_external ON alias (directory_id, external_id);
CREATE UNIQUE INDEX alias_user ON alias (user_id, directory_id);
CREATE UNIQUE INDEX alias_group ON alias (group_id, directory_id);

-- One writer means that ids are given out in the order of commits, so the id is the
-- place in the order.
CREATE TABLE event (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id    TEXT NOT NULL,
    org_id       INTEGER NOT NULL,
    seq          INTEGER GENERATED ALWAYS AS (id) VIRTUAL,
    directory_id INTEGER,
    type         TEXT NOT NULL,
    version      INTEGER NOT NULL,
    kind         TEXT NOT NULL,
    resource     TEXT NOT NULL,
    cause        TEXT NOT NULL, -- JSON
    actor_id     TEXT NOT NULL, -- what the cause says of the actor, for filters
    actor_folded TEXT NOT NULL,
    data         TEXT NOT NULL, -- JSON
    time         INTEGER NOT NULL
);
CREATE INDEX event_unstamped ON event (org_id, id) WHERE seq IS NULL;
CREATE UNIQUE INDEX event_seq ON event (org_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_resource ON event (resource, org_id, seq);
CREATE INDEX event_type ON event (type, org_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_actor ON event (actor_id, org_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_actor_name ON event (actor_folded, org_id, seq) WHERE seq IS NOT NULL;
CREATE INDEX event_time ON event (time);

CREATE TABLE event_head (
    org_id INTEGER PRIMARY KEY REFERENCES organization (id) ON DELETE CASCADE,
    seq    INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE run (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id     TEXT NOT NULL UNIQUE,
    org_id        INTEGER NOT NULL,
    directory_id  INTEGER NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('planned', 'running', 'held', 'succeeded', 'failed', 'discarded')),
    phase         TEXT NOT NULL CHECK (phase IN ('queued', 'read', 'ready', 'apply', 'publish', 'done')),
    active        boolean NOT NULL, -- a worker has it or should take it
    apply         boolean NOT NULL,
    approved      boolean NOT NULL DEFAULT false,
    approved_by   TEXT NOT NULL DEFAULT '',
    discarded_by  TEXT NOT NULL DEFAULT '',
    incremental   boolean NOT NULL DEFAULT false,
    cause         TEXT NOT NULL, -- JSON
    "full"        boolean NOT NULL DEFAULT false, -- a person asked for a full read
    full_because  TEXT NOT NULL DEFAULT '',
    cookie        TEXT NOT NULL DEFAULT '', -- JSON
    selection     TEXT, -- JSON; NULL: the whole directory
    revision      INTEGER NOT NULL DEFAULT 0,
    policy_hash   TEXT NOT NULL DEFAULT '',
    stage_hash    TEXT NOT NULL DEFAULT '',
    windows       INTEGER NOT NULL DEFAULT 0,
    next_window   INTEGER NOT NULL DEFAULT 0,
    plan          TEXT NOT NULL DEFAULT '', -- JSON
    counts        TEXT NOT NULL DEFAULT '{}', -- JSON
    drift         TEXT, -- JSON; NULL: it follows no incremental run
    progress      TEXT NOT NULL DEFAULT '{}', -- JSON
    phases        TEXT NOT NULL DEFAULT '[]', -- JSON
    error         TEXT NOT NULL DEFAULT '',
    owner         TEXT NOT NULL DEFAULT '',
    fence         INTEGER NOT NULL DEFAULT 0,
    writes        INTEGER NOT NULL DEFAULT 0,
    lease_until   INTEGER,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    FOREIGN KEY (org_id, directory_id) REFERENCES directory (org_id, id) ON DELETE CASCADE
);
-- One run of a directory at a time.
CREATE UNIQUE INDEX run_active ON run (directory_id) WHERE active;
CREATE INDEX run_directory ON run (directory_id, id);
CREATE INDEX run_org ON run (org_id, id);

CREATE TABLE stage (
    run_id      INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    seq         INTEGER PRIMARY KEY,
    phase       INTEGER NOT NULL,
    window_no   INTEGER, -- of a row that trades a name, once the stage is sealed; the others lie in ranges
    kind        TEXT NOT NULL,
    external_id TEXT NOT NULL,
    presence    TEXT NOT NULL DEFAULT '',
    name_key    TEXT NOT NULL DEFAULT '', -- the folded userName or displayName claimed
    weight      INTEGER NOT NULL, -- member references, or KiB of body if those are more; at least 1
    known       boolean NOT NULL,
    told        boolean NOT NULL DEFAULT false, -- the directory told of a change that concerns it
    body        TEXT NOT NULL DEFAULT '', -- JSON
    hash        BLOB,
    keys        TEXT NOT NULL DEFAULT '[]', -- JSON
    manager     TEXT NOT NULL DEFAULT '',
    dn          TEXT NOT NULL DEFAULT '',
    UNIQUE (run_id, seq)
);
CREATE INDEX stage_traded ON stage (run_id, window_no, seq) WHERE window_no IS NOT NULL;

-- The ranges of rows that are windows of a sealed stage, so that sealing writes no row of it.
CREATE TABLE stage_window (
    run_id    INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    window_no INTEGER NOT NULL,
    phase     INTEGER NOT NULL,
    first     INTEGER NOT NULL,
    last      INTEGER NOT NULL,
    PRIMARY KEY (run_id, window_no, first)
);

-- What a plan would make of records, by stable id: who would be there and is not yet, and which groups
-- would have the members that it states.
CREATE TABLE plan_record (
    run_id      INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    external_id TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL, -- userName or displayName
    arrives     boolean NOT NULL,
    record_id   INTEGER NOT NULL, -- of one that another directory, or none, has until then; else 0
    PRIMARY KEY (run_id, external_id, kind)
);

-- What incremental runs take away, by class (rule 6): they are judged together.
CREATE TABLE run_loss (
    run_id       INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    class        TEXT NOT NULL,
    record       TEXT NOT NULL, -- of members_removed the group's stable id
    directory_id INTEGER NOT NULL,
    taken        INTEGER NOT NULL,
    noted_at     INTEGER NOT NULL,
    PRIMARY KEY (run_id, class, record)
);
CREATE INDEX run_loss_directory ON run_loss (directory_id, noted_at);

CREATE TABLE finding (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id    TEXT NOT NULL UNIQUE,
    org_id       INTEGER NOT NULL REFERENCES organization (id),
    directory_id INTEGER NOT NULL, -- 0: none
    rule         TEXT NOT NULL,
    kind         TEXT NOT NULL,
    record       TEXT NOT NULL,
    run_id       INTEGER, -- the run that saw it last
    sentence     TEXT NOT NULL,
    name         TEXT NOT NULL DEFAULT '',
    dn           TEXT NOT NULL DEFAULT '',
    opened_at    INTEGER NOT NULL,
    seen_at      INTEGER NOT NULL,
    resolved_at  INTEGER
);
CREATE UNIQUE INDEX finding_open ON finding (record, rule, kind, directory_id, org_id) WHERE resolved_at IS NULL;
CREATE INDEX finding_directory ON finding (directory_id, id);
CREATE INDEX finding_org ON finding (org_id, id);
CREATE INDEX finding_run ON finding (run_id, id);

-- POSTs that carried an Idempotency-Key, with their answers, so that one that is repeated is answered alike.
CREATE TABLE idempotency_key (
    key_hash     BLOB    NOT NULL, -- of who called and the key
    org_id       INTEGER NOT NULL REFERENCES organization (id) ON DELETE CASCADE,
    request_hash BLOB    NOT NULL,
    status       INTEGER NOT NULL DEFAULT 0, -- 0: there is no answer yet
    header       TEXT    NOT NULL DEFAULT 'null', -- JSON
    body         BLOB,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (key_hash, org_id)
);
CREATE INDEX idempotency_key_created ON idempotency_key (created_at);

-- The outbox: what is to be sent, written with the change that causes it. A mail holds
-- no text: it is made of the record when it is sent. resource is the public id of the
-- user, which a purge looks for, or of the run.
CREATE TABLE mail (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id       TEXT NOT NULL UNIQUE,
    org_id          INTEGER NOT NULL REFERENCES organization (id),
    directory_id    INTEGER NOT NULL, -- 0: none
    kind            TEXT NOT NULL CHECK (kind IN ('run_held', 'welcome')),
    recipient       TEXT NOT NULL,
    resource        TEXT NOT NULL,
    dedupe_key      TEXT NOT NULL,
    data            TEXT NOT NULL DEFAULT '{}', -- JSON
    state           TEXT NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'sending', 'sent', 'failed', 'uncertain')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER NOT NULL,
    owner           TEXT NOT NULL DEFAULT '',
    fence           INTEGER NOT NULL DEFAULT 0,
    lease_until     INTEGER,
    last_error      TEXT NOT NULL DEFAULT '',
    created_at      INTEGER NOT NULL,
    sent_at         INTEGER,
    UNIQUE (dedupe_key, org_id)
);
CREATE INDEX mail_due ON mail (kind, next_attempt_at, id) WHERE state = 'queued';
CREATE INDEX mail_waiting ON mail (created_at) WHERE state = 'queued';
CREATE INDEX mail_leased ON mail (lease_until) WHERE lease_until IS NOT NULL;
CREATE INDEX mail_resource ON mail (resource);

-- Endpoints of events. Each has a place in the log; what is before it was delivered, or has a row of
-- webhook_delivery that is pending. No row is written for an event before it is sent.
CREATE TABLE webhook (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id        TEXT NOT NULL UNIQUE,
    org_id           INTEGER NOT NULL REFERENCES organization (id),
    name             TEXT NOT NULL,
    name_folded      TEXT NOT NULL,
    url              TEXT NOT NULL,
    types            TEXT NOT NULL DEFAULT '[]', -- JSON
    enabled          boolean NOT NULL DEFAULT true,
    disabled_reason  TEXT NOT NULL DEFAULT '',
    disabled_at      INTEGER,
    secret           BLOB NOT NULL,
    old_secret       BLOB,
    old_secret_until INTEGER,
    cursor           INTEGER NOT NULL,
    failing_since    INTEGER,
    failures         INTEGER NOT NULL DEFAULT 0,
    retry_at         INTEGER,
    revision         INTEGER NOT NULL DEFAULT 1,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    deleted_at       INTEGER, -- it goes when its deliveries are gone
    owner            TEXT NOT NULL DEFAULT '',
    fence            INTEGER NOT NULL DEFAULT 0,
    lease_until      INTEGER,
    UNIQUE (org_id, id)
);
CREATE UNIQUE INDEX webhook_name ON webhook (name_folded, org_id) WHERE deleted_at IS NULL;
CREATE INDEX webhook_leased ON webhook (lease_until) WHERE lease_until IS NOT NULL;

-- The log of deliveries, and those that are to be tried again.
CREATE TABLE webhook_delivery (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    public_id       TEXT NOT NULL UNIQUE,
    org_id          INTEGER NOT NULL,
    webhook_id      INTEGER NOT NULL,
    cursor          INTEGER NOT NULL, -- of the event
    event_id        TEXT NOT NULL,
    type            TEXT NOT NULL,
    resource        TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dropped')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at INTEGER,
    since           INTEGER,
    created_at      INTEGER NOT NULL,
    ended_at        INTEGER,
    tries           TEXT NOT NULL DEFAULT '[]', -- JSON
    UNIQUE (webhook_id, cursor),
    FOREIGN KEY (org_id, webhook_id) REFERENCES webhook (org_id, id)
);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (webhook_id, resource, cursor) WHERE state = 'pending';
CREATE INDEX webhook_delivery_done ON webhook_delivery (created_at) WHERE state <> 'pending';
CREATE INDEX webhook_delivery_resource ON webhook_delivery (resource);

-- Keys for new users and groups are taken from here before the rows are inserted.
INSERT INTO sqlite_sequence (name, seq) VALUES ('users', 0), ('groups', 0);

-- What the planner believes of tables that were never analysed. Without it every
-- index is as good as another, and it walks all of an organization or a directory
-- in the order of keys to save itself a sort.
ANALYZE;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('users', 'sqlite_autoindex_users_1', '100000 1'),
    ('users', 'sqlite_autoindex_users_2', '100000 100000 1'),
    ('users', 'users_name', '100000 1 1 1'),
    ('users', 'users_external', '100000 1 1'),
    ('users', 'users_directory', '100000 50000 1'),
    ('users', 'users_domain', '100000 30000 30000 1'),
    ('users', 'users_deleted', '1000 1 1'),
    ('groups', 'sqlite_autoindex_groups_1', '10000 1'),
    ('groups', 'sqlite_autoindex_groups_2', '10000 10000 1'),
    ('groups', 'groups_name', '10000 1 1 1'),
    ('groups', 'groups_external', '10000 1 1'),
    ('groups', 'groups_directory', '10000 5000 1'),
    ('groups', 'groups_deleted', '1000 1 1'),
    ('groups', 'groups_stale', '100 100 1');

-- +goose Down
DROP TABLE webhook_delivery;
DROP TABLE webhook;
DROP TABLE idempotency_key;
DROP TABLE mail;
DROP TABLE handover;
DROP TABLE container;
DROP TABLE scope_entry;
DROP TABLE alias;
DROP TABLE finding;
DROP TABLE plan_record;
DROP TABLE run_loss;
DROP TABLE stage_window;
DROP TABLE stage;
DROP TABLE run;
DROP TABLE event_head;
DROP TABLE event;
DROP TABLE group_grant;
DROP TABLE user_grant;
DROP TABLE entitlement;
DROP TABLE effective;
DROP TABLE pending_member;
DROP TABLE nest;
DROP TABLE member;
DROP TABLE identity_key;
DROP TABLE tally;
DROP TABLE groups;
DROP TABLE user_value;
DROP TABLE users;
DROP TABLE domain;
DROP TABLE oidc_binding;
DROP TABLE token;
DROP TABLE directory;
DROP TABLE org_graph;
DROP TABLE organization;
