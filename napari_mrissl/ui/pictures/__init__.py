"""Visible layers cut by a plane and drawn over each other into one picture, without OpenGL."""
