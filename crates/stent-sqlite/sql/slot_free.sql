-- The slots of a function that a claim may take: those below the limit that nobody holds, without as many as are still
-- held above it since it was lowered.
-- Served by the primary key.
SELECT number FROM limit_slots
WHERE function = ?1 AND number < ?2 AND task_id IS NULL
ORDER BY number
LIMIT ?3 OFFSET (SELECT count(*) FROM limit_slots WHERE function = ?1 AND number >= ?2 AND task_id IS NOT NULL)
