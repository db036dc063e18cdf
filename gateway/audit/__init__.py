"""What happened, provably: the audit log, its recorder, receipts, search and archive."""
