-- Files of the log never become shorter by themselves: each commit group takes a shorter one for one that was put back
-- (gateway/audit/ground.py). Vacuum gives the empty pages at a table's end back otherwise, after a large group that was undone.

ALTER TABLE gateway.audit_entry SET (vacuum_truncate = off);
ALTER TABLE gateway.audit_head SET (vacuum_truncate = off);
