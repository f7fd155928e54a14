"""Figures about pictures and about what a fine-tune learned."""
