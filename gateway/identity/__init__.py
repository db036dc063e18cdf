"""Who is calling: accounts, passwords, sessions and the tokens that are bound to a certificate."""
