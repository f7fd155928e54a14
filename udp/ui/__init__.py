"""The web interface: tabs over the same functions as the command line."""

from udp.ui.owner import Owner, owner_from
from udp.ui.page import build
from udp.ui.theme import CSS, HEAD, theme

__all__ = ["CSS", "HEAD", "Owner", "build", "owner_from", "theme"]
