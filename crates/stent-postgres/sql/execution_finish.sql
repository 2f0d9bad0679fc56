-- Executions end by their roots' word unless their deadline has passed or they have ended (`Complete`, `Fail` of 0 and 1).
-- If that is so of any of them, the division fails the statement and with it the batch, which is then run with care.
-- Served by the primary key; leave executions_deadline, enter executions_failed when they did not complete.
WITH ended AS (
    UPDATE executions e SET state = n.state, completed_at = $3::int8, overdue_at = NULL,
                            rare_state = CASE WHEN n.state > 2 THEN n.state END
    FROM unnest($1::uuid[], $2::int2[]) AS n (execution_id, state)
    WHERE e.execution_id = n.execution_id AND e.state < 2 AND (e.overdue_at IS NULL OR e.overdue_at > $3::int8)
    RETURNING 1
)
SELECT 1 / (CASE WHEN count(*) = $4::int8 THEN 1 ELSE 0 END) FROM ended
