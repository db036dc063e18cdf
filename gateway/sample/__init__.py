"""Generated people, doses and documents that look like Shanxi; none of them is real."""
