-- As many records as the arrays are long, by the primary key of records; a transaction by itself.
INSERT INTO records (task, key, payload)
SELECT task, key, payload FROM unnest($1::uuid[], $2::text[], $3::bytea[]) AS n (task, key, payload)
