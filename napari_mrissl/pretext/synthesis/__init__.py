"""Contrastive pretraining on synthesis: voxels of one label look alike, whatever their grey value.

After arXiv:2411.02372; where this departs from the authors' public code, the module says so.
"""
