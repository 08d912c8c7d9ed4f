"""The oblique-slice renderer and the navigation policies."""
