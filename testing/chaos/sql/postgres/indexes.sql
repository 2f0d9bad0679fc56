-- Every index of ours held against its table, as PostgreSQL's own check does: it fails at the first that does not fit.
CREATE EXTENSION IF NOT EXISTS amcheck;
SELECT count(bt_index_check(i.indexrelid, true))
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_am a ON a.oid = c.relam AND a.amname = 'btree'
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT LIKE 'pg\_%'
WHERE i.indisvalid
