-- What supervisors did in calls. Rows are only ever added.

CREATE TABLE audit (
    id TEXT NOT NULL PRIMARY KEY,
    at INTEGER NOT NULL,
    user_id TEXT NOT NULL,
    action TEXT NOT NULL,
    call_id TEXT,
    detail TEXT
) STRICT;

CREATE INDEX audit_by_time ON audit (at);
