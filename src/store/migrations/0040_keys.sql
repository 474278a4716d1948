-- Keys for programs: of a key itself only the hash. They go with the account that made them.

CREATE TABLE keys (
    id TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    ending TEXT NOT NULL,
    made_by TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    made_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    last_used_at INTEGER,
    revoked_at INTEGER
) STRICT;

CREATE INDEX keys_by_maker ON keys (made_by);
