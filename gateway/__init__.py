"""The provincial data exchange gateway: the only way in and out of a province's records."""
