"""Settings, policies and the places under HOME: everything a process is told at its start."""
