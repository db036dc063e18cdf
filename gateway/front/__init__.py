"""The one process that speaks TLS: who may connect, and the relay to the doors."""
