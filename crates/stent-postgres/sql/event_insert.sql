-- Publishes an event at its place.
-- Served by the primary key; enters events_age.
INSERT INTO events (queue, name, position, event_id, payload, created_at)
VALUES ($1::text, $2::text, $3::int8, $4::uuid, $5::bytea, $6::int8)
