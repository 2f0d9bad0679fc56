-- One record, by the primary key of records; a transaction by itself.
INSERT INTO records (task, key, payload) VALUES ($1::uuid, $2::text, $3::bytea)
