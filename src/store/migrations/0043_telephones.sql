-- Telephones agents chose for themselves, instead of the configuration's.

CREATE TABLE telephones (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    number TEXT NOT NULL,
    set_at INTEGER NOT NULL
) STRICT;
