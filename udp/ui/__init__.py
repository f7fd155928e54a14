"""The web interface: tabs over the same functions as the command line."""
