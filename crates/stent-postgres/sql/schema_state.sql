-- Of a schema ($1): whether it is there, what the role may do in it, which of our names ($2) are taken in it, and by
-- which tables and views whose rows the role may not read and write. One row always, by the catalogs' name indexes.
SELECT n.oid IS NOT NULL,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false),
       coalesce(has_schema_privilege(n.oid, 'CREATE'), false),
       coalesce((SELECT array_agg(c.relname::text ORDER BY c.relname)
                 FROM pg_class c
                 WHERE c.relnamespace = n.oid AND c.relname = ANY ($2)), '{}'),
       coalesce((SELECT array_agg(c.relname::text ORDER BY c.relname)
                 FROM pg_class c
                 WHERE c.relnamespace = n.oid AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')
                   AND NOT (has_table_privilege(c.oid, 'SELECT')
                            AND (c.relname = 'stent_schema'
                                 OR has_table_privilege(c.oid, 'INSERT') AND has_table_privilege(c.oid, 'UPDATE')
                                    AND has_table_privilege(c.oid, 'DELETE')))), '{}')
FROM (SELECT 1) AS always
LEFT JOIN pg_namespace n ON n.nspname = $1
