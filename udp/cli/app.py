"""`udp app`: the web interface, from wherever the package is installed."""

from __future__ import annotations

import argparse
import os


def add_flags(parser: argparse.ArgumentParser) -> None:
    """None: the owner's variables say the rest (docs/owners.md)."""


def run(options: argparse.Namespace) -> None:
    """Serve the app until it is interrupted."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
    from udp.ui.page import build, launch_options
    from udp.ui.state.owner import owner_from

    build(owner_from(os.environ)).launch(server_name=os.environ.get("GRADIO_SERVER_NAME"), **launch_options())
