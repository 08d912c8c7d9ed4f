"""Pretext tasks: what a network is pretrained on, one module or folder per method."""
