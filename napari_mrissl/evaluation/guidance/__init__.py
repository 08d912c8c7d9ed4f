"""What body coordinates add to diffusion: arms at equal budgets, probes, losses and controls."""
