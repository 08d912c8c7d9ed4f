"""The panel of slice navigation: imagined flights, goal slices, and what latents hold."""
