"""The pieces that tabs are built from."""
