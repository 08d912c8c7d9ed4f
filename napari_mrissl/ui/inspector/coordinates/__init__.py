"""The panel of body coordinates: where in the body a network thinks every voxel is."""
