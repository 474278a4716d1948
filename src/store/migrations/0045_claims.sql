-- Who took what last, and how often it has been taken: one winner among all that ask.

CREATE TABLE claims (
    what TEXT NOT NULL PRIMARY KEY,
    taken INTEGER NOT NULL,
    taken_by TEXT NOT NULL,
    taken_at INTEGER NOT NULL
) STRICT;
