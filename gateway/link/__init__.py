"""Between front and doors: the connection as a value, and both ends of the control socket."""
