-- Publishes an event at its place.
-- Served by the primary key; enters events_age.
INSERT INTO events (queue, name, position, event_id, payload, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
