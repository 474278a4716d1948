-- How agents' time was spent and how it is paid. Rows are only ever added.

CREATE TABLE ledger (
    id TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    code TEXT,
    class TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER NOT NULL
) STRICT;

CREATE INDEX ledger_by_agent ON ledger (agent_id, began_at);
