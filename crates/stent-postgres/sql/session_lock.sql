-- Whether a session is open, and whose committers its batches go through; it is not closed until the batch ends.
-- Served by the primary key.
SELECT is_open, instance_id FROM sessions WHERE session_id = $1::uuid
FOR SHARE
