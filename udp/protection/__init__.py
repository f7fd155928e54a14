"""How photos are protected: one PGD loop, and a method a file in `methods`."""
