-- What was decided about the caller's words, with all it was decided from: JSON, null for everybody else's turns.

ALTER TABLE turns ADD COLUMN decision TEXT;
