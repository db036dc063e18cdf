"""The program `gateway`: one file of commands per noun."""
