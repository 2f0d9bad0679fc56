-- One root's end behind the fence: the committer, the execution, its root and the slot that this held, in one statement.
-- If the committer was bumped, the execution has ended or its deadline has passed, the division fails the statement, and
-- the batch is run with care.
-- Served by the primary keys.
WITH mine AS (
    UPDATE committers SET last_batch = $4::int8, seen_at = $13::int8
    WHERE instance_id = $1::uuid AND lane = $2::int2 AND generation = $3::int8
    RETURNING 1
), ended AS (
    UPDATE executions e SET state = $6::int2, completed_at = $13::int8, overdue_at = NULL,
                            rare_state = CASE WHEN $6::int2 > 2 THEN $6::int2 END
    FROM mine
    WHERE e.execution_id = $5::uuid AND e.state < 2 AND (e.overdue_at IS NULL OR e.overdue_at > $13::int8)
    RETURNING e.execution_id
), done AS (
    UPDATE tasks t SET state = $7::int2, session_id = NULL, woken = false, ready = false, due = NULL, completed_at = $13::int8,
                       result = $9::bytea, failure = $10::bytea, undelivered = false, losses = $8::int4, slot = NULL
    FROM ended
    WHERE t.execution_id = ended.execution_id AND t.task_id = ended.execution_id
    RETURNING 1
), let_go AS (
    UPDATE limit_slots s SET execution_id = NULL, task_id = NULL FROM done
    WHERE s.function = $11::text AND s.number = $12::int4 AND s.execution_id = $5::uuid AND s.task_id = $5::uuid
)
SELECT 1 / count(*)::int4, (extract(epoch FROM clock_timestamp()) * 1000000)::int8 FROM done
