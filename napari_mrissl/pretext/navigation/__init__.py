"""Slice navigation: a tokenizer of slices, and dynamics that follow actions through a scan.

After arXiv:2605.06487, of which only the abstract and a summary were at hand: networks, ranges
and losses are our own definitions ("inferred"), taken from the related methods that modules name.
"""
