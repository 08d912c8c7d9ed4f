"""The Inspector's panel for VectorPOSE: crops, arrows, sweeps, boundaries and null controls."""
