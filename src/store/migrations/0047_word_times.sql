-- From when to when each word of a turn was said: JSON, null where nobody knows.

ALTER TABLE turns ADD COLUMN word_times TEXT;
