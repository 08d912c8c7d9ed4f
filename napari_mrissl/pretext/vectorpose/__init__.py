"""VectorPOSE: predict nine arrows from a crop to the body's axis, and restore its boundaries.

After arXiv:2211.08533; where this departs from the authors' public code, the module says so.
"""
