-- Blocks of time that were promised to agents.

CREATE TABLE shifts (
    id TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    scheduled_by TEXT NOT NULL,
    scheduled_at INTEGER NOT NULL,
    released_at INTEGER
) STRICT;

CREATE INDEX shifts_by_time ON shifts (began_at);
