-- Sees to it that a function has slots for the whole of a limit.
-- Served by the primary key.
INSERT INTO limit_slots (function, number)
WITH RECURSIVE n (number) AS (SELECT 0 UNION ALL SELECT number + 1 FROM n WHERE number + 1 < ?2)
SELECT ?1, number FROM n WHERE true
ON CONFLICT (function, number) DO NOTHING
