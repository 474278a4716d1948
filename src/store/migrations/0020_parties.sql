-- Who was in a call besides caller and assistant, and when. Children go with their call when it is erased.

CREATE TABLE parties (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    part TEXT NOT NULL,
    joined_at INTEGER NOT NULL,
    together_at INTEGER,
    left_at INTEGER
) STRICT;

CREATE INDEX parties_by_call ON parties (call_id);
