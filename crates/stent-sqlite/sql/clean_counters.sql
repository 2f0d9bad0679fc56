-- Deletes counters of an execution that goes, at most ?2.
-- Served by the primary key.
DELETE FROM execution_counters WHERE execution_id = ?1 AND name IN
    (SELECT name FROM execution_counters WHERE execution_id = ?1 LIMIT ?2)
