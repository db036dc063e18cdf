"""Whose tunnel a connection came through."""
