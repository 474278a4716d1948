-- Priority and message of a queue that hold instead of the configuration's.

CREATE TABLE queues (
    name TEXT NOT NULL PRIMARY KEY,
    priority INTEGER NOT NULL,
    message TEXT NOT NULL,
    set_by TEXT NOT NULL,
    set_at INTEGER NOT NULL
) STRICT;
