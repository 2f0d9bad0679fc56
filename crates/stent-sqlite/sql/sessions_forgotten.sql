-- The closed sessions that own nothing any more and have not beaten since ?1 of this boot (?2).
-- Reads the table from end to end: it holds the sessions of a day.
SELECT session_id FROM sessions WHERE is_open = 0 AND (boot_id <> ?2 OR beat_ms < ?1) LIMIT ?3
