-- States which schema this is now ($1) and the oldest client it serves ($2), in place of what was stated before. The
-- whole table, of one row at most; under the lock of whoever migrates.
WITH before AS (DELETE FROM stent_schema)
INSERT INTO stent_schema (product, version, oldest_client) VALUES ('stent', $1, $2)
