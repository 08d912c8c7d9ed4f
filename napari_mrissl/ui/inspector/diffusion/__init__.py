"""The panel of diffusion: what is seen behind noise, and what guidance does."""
