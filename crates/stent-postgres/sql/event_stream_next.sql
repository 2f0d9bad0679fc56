-- Takes the next place of a stream, which it creates where absent. Emits and registrations of one stream meet here.
-- Served by the primary key.
INSERT INTO event_streams AS s (queue, name, position) VALUES ($1::text, $2::text, 1)
ON CONFLICT (queue, name) DO UPDATE SET position = s.position + 1
RETURNING position
