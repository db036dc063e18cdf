"""Transparency-log arithmetic and text formats (RFC 6962, C2SP).

Pure functions of bytes, no I/O.
"""
