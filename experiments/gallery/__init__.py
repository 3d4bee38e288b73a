"""Pictures of simulated oscillators, one module each: `python -m experiments.gallery`."""
