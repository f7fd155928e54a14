"""`udp app`: the web interface, from wherever the package is installed."""

from __future__ import annotations

import argparse
import os
from typing import Any

from udp.errors import InvalidInput

PORTS = 1, 65535


def add_flags(parser: argparse.ArgumentParser) -> None:
    """The port; the owner's variables say the rest (docs/owners.md)."""
    parser.add_argument(
        "--port",
        type=port,
        help="to listen on (default: the first free one from GRADIO_SERVER_PORT on, or else from 7860 on)",
    )


def port(text: str) -> int:
    """A port as a flag's value."""
    if not (text.isdecimal() and PORTS[0] <= int(text) <= PORTS[1]):
        raise argparse.ArgumentTypeError(f"expected a port from {PORTS[0]} to {PORTS[1]}, got {text!r}")
    return int(text)


def serve(demo: Any, port: int | None) -> None:
    """Launch the app `demo` until it is interrupted. Raises `InvalidInput` if nobody can listen there."""
    from udp.ui.page import launch_options

    name = os.environ.get("GRADIO_SERVER_NAME")
    try:
        demo.launch(server_name=name, server_port=port, **launch_options())
    except OSError as error:
        where = f"{name or 'this machine'}, port {port or 'any from the default on'}"
        raise InvalidInput(f"expected an address and a port to listen on, got {where}: {error}") from error


def run(options: argparse.Namespace) -> None:
    """Serve the app until it is interrupted."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported
    from udp.ui.page import build
    from udp.ui.state.owner import owner_from

    serve(build(owner_from(os.environ)), options.port)
