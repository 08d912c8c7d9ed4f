"""Observable tasks: how far apart views of a scan are, which way, and what faces what.

After arXiv:2509.05967; where this departs from the authors' public code, the module says so.
"""
