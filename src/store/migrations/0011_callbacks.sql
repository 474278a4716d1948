-- Wishes to be called back, from the booking to their end. A message stands for each, and has the number.

CREATE TABLE callbacks (
    message_id TEXT NOT NULL PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    call_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    summary TEXT NOT NULL, -- JSON array of lines
    wanted_since INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    ended_at INTEGER,
    ended_how TEXT
) STRICT;

CREATE INDEX callbacks_open ON callbacks (wanted_since) WHERE ended_at IS NULL;
