"""Training runs: their folders, the loop, checkpoints, and the child processes they run in."""
