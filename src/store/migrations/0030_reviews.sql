-- What reviewers said about calls, and how they scored them. The rubric is the same for the assistant and for people.

CREATE TABLE comments (
    id TEXT NOT NULL PRIMARY KEY,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    author_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    at_ms INTEGER, -- the moment of the call it is about
    text TEXT NOT NULL
) STRICT;

CREATE INDEX comments_by_call ON comments (call_id);

-- One score of each reviewer for the assistant's part (agent_id is empty) and for each agent's part of a call.
CREATE TABLE scores (
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    by_id TEXT NOT NULL,
    at INTEGER NOT NULL,
    resolved INTEGER,
    correct INTEGER,
    effort INTEGER,
    tone INTEGER,
    PRIMARY KEY (call_id, agent_id, by_id)
) STRICT;

CREATE INDEX scores_by_time ON scores (at);
