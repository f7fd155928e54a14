"""The web interface: two tabs, Protect and Attack, over the same functions as the command line."""

from udp.ui.page import build
from udp.ui.theme import CSS, HEAD, theme

__all__ = ["CSS", "HEAD", "build", "theme"]
