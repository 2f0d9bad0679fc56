-- Deletes signals of an execution that goes, at most ?2.
-- Served by the primary key.
DELETE FROM signals WHERE execution_id = ?1 AND (name, consumed, position) IN
    (SELECT name, consumed, position FROM signals WHERE execution_id = ?1 LIMIT ?2)
