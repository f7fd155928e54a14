"""Unlearnable diffusion perturbations: protect photos, and test the protection by attacking it (arXiv 2306.01902)."""

__version__ = "0.1.0"
