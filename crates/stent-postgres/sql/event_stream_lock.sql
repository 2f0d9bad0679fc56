-- Nobody emits under this name until the batch ends: what a wait did not find will find the wait.
-- Served by the primary key.
INSERT INTO event_streams AS s (queue, name, position) VALUES ($1::text, $2::text, 0)
ON CONFLICT (queue, name) DO UPDATE SET position = s.position
