-- Begins a transaction of reads that all see the same moment.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY
