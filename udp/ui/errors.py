"""Errors as a visitor may see them: a sentence, never a stack trace."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from udp.errors import UDPError

log = logging.getLogger("udp.ui")


@contextmanager
def friendly() -> Iterator[None]:
    """Turn our own errors into `gr.Error` with their message, and any other into a logged one with a plain message."""
    try:
        yield
    except gr.Error:
        raise
    except UDPError as error:
        raise gr.Error(str(error), title="That did not work", print_exception=False) from None
    except Exception as error:
        log.exception("unexpected error in a handler")
        raise gr.Error(
            f"expected this to work, got an error on our side ({type(error).__name__}). Your earlier results are kept. "
            "Please try again, with fewer or smaller photos if it repeats.",
            title="Something went wrong",
            print_exception=False,
        ) from None
