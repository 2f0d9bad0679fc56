-- The tasks of an execution that wait for signals of a name, in order of id. Picked out before they are put in order: the
-- server would read all waits of the execution in that order instead.
-- Served by waits_signal.
WITH line AS MATERIALIZED (
    SELECT task_id FROM waits WHERE kind = 3 AND execution_id = $1::uuid AND name = $2::text
)
SELECT DISTINCT task_id FROM line
ORDER BY task_id
