"""Dense features of a volume."""
