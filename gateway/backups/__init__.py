"""What is kept: backups of a gateway, made, checked, opened, put back."""
