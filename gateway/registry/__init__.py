"""Who exists: organisations, their systems and units, and how they stand to each other."""
