-- Creates a queue, or sets whether it is paused.
-- Served by the primary key.
INSERT INTO queues (name, paused) VALUES ($1::text, $2::bool)
ON CONFLICT (name) DO UPDATE SET paused = excluded.paused
