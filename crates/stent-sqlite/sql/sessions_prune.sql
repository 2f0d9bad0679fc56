-- Forgets the closed sessions that own nothing any more and have not beaten since ?1 of this boot (?2), a bounded number
-- at once: whoever is not known is not open either.
-- Reads the table from end to end: it holds the sessions of a day.
DELETE FROM sessions WHERE session_id IN
    (SELECT session_id FROM sessions WHERE is_open = 0 AND (boot_id <> ?2 OR beat_ms < ?1) LIMIT ?3)
