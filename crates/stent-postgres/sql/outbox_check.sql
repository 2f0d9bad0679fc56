-- The schema in which a connection finds our tables, if it does, the server's clock, and the transaction's isolation.
-- Reads catalogues only.
SELECT (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid = to_regclass('stent_schema')),
       (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
       current_setting('transaction_isolation')
