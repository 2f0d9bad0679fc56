-- Deletes records of an execution that goes, at most ?2.
-- Served by the primary key.
DELETE FROM records WHERE execution_id = ?1 AND (task_id, seq) IN
    (SELECT task_id, seq FROM records WHERE execution_id = ?1 LIMIT ?2)
