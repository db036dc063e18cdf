"""The told story: a province on loopback, what it takes in, and everything that it refuses."""
