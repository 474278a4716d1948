-- A wish for a person that goes on in another record, because the line broke and the caller came back: counted once.

ALTER TABLE handoffs ADD COLUMN continues TEXT;
CREATE INDEX handoffs_by_continued ON handoffs (continues) WHERE continues IS NOT NULL;

-- Looked for at each start: who was cut off and may be on the way back.
CREATE INDEX calls_cut_off ON calls (ended_at) WHERE outcome = 'interrupted';
CREATE INDEX calls_by_provider_id ON calls (provider, provider_call_id);
