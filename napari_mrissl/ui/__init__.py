"""The only package that imports napari or Qt."""
