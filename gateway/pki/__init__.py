"""Certificates.

What may stand in one, how they are issued and revoked, and who is let in with which.
"""
