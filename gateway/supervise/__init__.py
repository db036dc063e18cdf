"""The child processes of one gateway: started in order, watched, restarted, drained."""
