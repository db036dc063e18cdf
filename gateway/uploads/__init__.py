"""What comes in: batches, judged, stored and put on the log as one."""
