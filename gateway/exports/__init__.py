"""What goes out: plans, tickets that two persons signed, and the files that are built for them."""
