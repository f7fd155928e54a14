"""The web interface: tabs over the same functions as the command line."""

from udp.ui.owner import Owner, owner_from
from udp.ui.page import build, launch_options

__all__ = ["Owner", "build", "launch_options", "owner_from"]
