"""Universal body coordinates: three numbers for every voxel that say where in a body it is.

After arXiv:2409.10291 (anatomical positional embeddings), with the ordering regressor of body
part regression as the fallback; where this departs from published code, the module says so.
"""
