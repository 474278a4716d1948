-- Opening hours that hold instead of the configuration's.

CREATE TABLE hours (
    name TEXT NOT NULL PRIMARY KEY,
    zone TEXT NOT NULL,
    weekly TEXT NOT NULL, -- JSON array of lines
    days TEXT NOT NULL, -- JSON array of lines
    queues TEXT NOT NULL, -- JSON array of names
    set_by TEXT NOT NULL,
    set_at INTEGER NOT NULL
) STRICT;
