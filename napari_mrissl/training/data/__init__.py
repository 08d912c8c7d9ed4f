"""What runs are trained on: scans of any source, split by subject, or the data engine."""
