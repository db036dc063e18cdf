"""Where a connection comes from: whose tunnel it arrived by, and how strongly that is proven."""
