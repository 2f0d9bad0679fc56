-- Locks executions that are to go, in order of id. One that somebody else is about (a replay, a change of its counters,
-- another that cleans) is passed over: it is seen next time.
-- Served by the primary key.
SELECT execution_id FROM executions WHERE execution_id = ANY ($1::uuid[])
ORDER BY execution_id
FOR UPDATE SKIP LOCKED
