"""The provincial data exchange gateway: the only way in and out of a province's records."""

__version__ = "0.1.0"
