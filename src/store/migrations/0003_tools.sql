-- What tools did in calls. `started` in a call that has ended: the process died, and nobody knows.

CREATE TABLE tool_runs (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    tool TEXT NOT NULL,
    arguments TEXT NOT NULL, -- JSON object
    changes INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    outcome TEXT NOT NULL,
    status INTEGER,
    detail TEXT
) STRICT;

CREATE INDEX tool_runs_by_call ON tool_runs (call_id);
