"""Diffusion guided by body coordinates: a network takes noise out of patches (arXiv:2501.19265).

No code of that paper is public: all but its idea is inferred, and said so where it is done.
"""
