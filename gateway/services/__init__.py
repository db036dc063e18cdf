"""The doors: grpc servers in which every call passes one guard and leaves one leaf."""
