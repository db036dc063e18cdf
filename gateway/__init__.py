"""The provincial data exchange gateway: the one way in and out of a province's immunization data."""
