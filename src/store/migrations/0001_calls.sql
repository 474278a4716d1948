-- Calls and all that belongs to them. Times are microseconds since 1970 (UTC), ids are UUIDs as text, words are the
-- snake_case names of the API. Children go with their call when it is erased.

CREATE TABLE calls (
    id TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    provider_call_id TEXT NOT NULL,
    caller_number TEXT,
    called_number TEXT,
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT NOT NULL,
    recording TEXT,
    notice_at_ms INTEGER
) STRICT;

CREATE INDEX calls_live ON calls (id) WHERE ended_at IS NULL;

CREATE TABLE turns (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    who TEXT NOT NULL,
    text TEXT NOT NULL,
    planned TEXT,
    confidence REAL NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL,
    timings TEXT, -- JSON object
    entries TEXT NOT NULL, -- JSON array
    agent_id TEXT,
    PRIMARY KEY (call_id, seq)
) STRICT;

-- A trigger has no id of its own: the same rule at the same moment of the same call is the same trigger.
CREATE TABLE triggers (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    handoff_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    reason TEXT NOT NULL,
    signals TEXT NOT NULL, -- JSON
    PRIMARY KEY (call_id, handoff_id, at_ms, reason)
) STRICT;

CREATE TABLE handoffs (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    reason TEXT NOT NULL,
    summary TEXT NOT NULL, -- JSON array of lines
    requested_at INTEGER NOT NULL,
    bridged_at INTEGER,
    ended_at INTEGER,
    outcome TEXT NOT NULL,
    agent_id TEXT
) STRICT;

CREATE INDEX handoffs_by_call ON handoffs (call_id);
CREATE INDEX handoffs_by_agent ON handoffs (agent_id) WHERE agent_id IS NOT NULL;

CREATE TABLE offers (
    id TEXT NOT NULL PRIMARY KEY,
    handoff_id TEXT NOT NULL,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    offered_at INTEGER NOT NULL,
    ended_at INTEGER,
    result TEXT,
    reason TEXT
) STRICT;

CREATE INDEX offers_by_call ON offers (call_id);
CREATE INDEX offers_by_agent ON offers (agent_id, result);

CREATE TABLE messages (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    number TEXT,
    recording TEXT,
    text TEXT,
    done_by TEXT,
    done_at INTEGER
) STRICT;

CREATE INDEX messages_by_call ON messages (call_id);
CREATE INDEX messages_by_time ON messages (created_at);

CREATE TABLE wrap_ups (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    note TEXT NOT NULL,
    disposition TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (call_id, agent_id)
) STRICT;
