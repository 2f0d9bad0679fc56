-- Where a task stands: what every decision about it needs, without its payloads; and nobody else changes it until the
-- batch ends.
-- Served by the primary key.
SELECT state, session_id, epoch, priority, attempt, run, losses, parent_id, call_key, seen, digest, undelivered,
       detached, slot, route_id, CASE WHEN starts_with(options, '{"memo":') THEN options END
FROM tasks WHERE execution_id = $1::uuid AND task_id = $2::uuid
FOR NO KEY UPDATE
