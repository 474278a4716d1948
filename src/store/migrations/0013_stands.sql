-- What agents do just now, one row each: after a crash it becomes a stretch of the ledger.

CREATE TABLE stands (
    agent_id TEXT NOT NULL PRIMARY KEY,
    state TEXT NOT NULL,
    code TEXT,
    since INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT;
