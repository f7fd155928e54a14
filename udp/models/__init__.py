"""Diffusion models behind one small interface."""
