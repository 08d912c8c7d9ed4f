"""Plain torch modules: backbones, heads, and their weights on disk."""
