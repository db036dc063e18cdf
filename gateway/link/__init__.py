"""Who stands behind a connection: the value, and both ends of the socket that tells it."""
