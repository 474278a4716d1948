-- Blocks of time that agents may take; taken they are shifts of the same id.

CREATE TABLE open_shifts (
    id TEXT NOT NULL PRIMARY KEY,
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL,
    offered_by TEXT NOT NULL,
    offered_at INTEGER NOT NULL
) STRICT;

CREATE INDEX open_shifts_by_time ON open_shifts (began_at);
