"""`udp app`: the web interface, from wherever the package is installed."""

from __future__ import annotations

import argparse
import os
from typing import Any

from udp.errors import InvalidInput


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The port; the owner's variables say the rest (docs/owners.md)."""
    parser.add_argument(
        "--port", type=int, help="to listen on (default: GRADIO_SERVER_PORT, or else the first free one from 7860 on)"
    )


def serve(demo: Any, port: int | None) -> None:
    """Launch the app `demo` until it is interrupted. Raises `InvalidInput` if `port` is taken."""
    from udp.ui.page import launch_options

    try:
        demo.launch(server_name=os.environ.get("GRADIO_SERVER_NAME"), server_port=port, **launch_options())
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"expected a port that is free, got {port or 'the default'}: {error}") from error


def run(options: argparse.Namespace) -> None:
    """Serve the app until it is interrupted."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
    from udp.ui.page import build
    from udp.ui.state.owner import owner_from

    serve(build(owner_from(os.environ)), options.port)
