-- Conversations of callers with people, one an agent; and in which queue each caller waited.

CREATE TABLE contacts (
    id TEXT NOT NULL PRIMARY KEY,
    handoff_id TEXT NOT NULL,
    call_id TEXT NOT NULL REFERENCES calls (id) ON DELETE CASCADE,
    agent_id TEXT NOT NULL,
    began_at INTEGER NOT NULL,
    ended_at INTEGER,
    ended_by TEXT,
    hold_ms INTEGER NOT NULL,
    holds INTEGER NOT NULL,
    wrap_up_ms INTEGER
) STRICT;

CREATE INDEX contacts_by_handoff ON contacts (handoff_id);
CREATE INDEX contacts_by_call ON contacts (call_id);
CREATE INDEX contacts_open ON contacts (id) WHERE ended_at IS NULL;

ALTER TABLE handoffs ADD COLUMN queue TEXT;
CREATE INDEX handoffs_by_time ON handoffs (requested_at);
CREATE INDEX offers_by_time ON offers (offered_at);
CREATE INDEX ledger_by_time ON ledger (began_at);
