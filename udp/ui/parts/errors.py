"""Errors as a visitor may see them: a sentence, never a stack trace."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

import gradio as gr

from udp.errors import UDPError

log = logging.getLogger("udp.ui")
# An absolute path, one from the home folder or one from here, in quotes or bare; an address on the web is none.
_START = r"(?:[A-Za-z]:[\\/]|~?/|\.{1,2}/)"
QUOTED = re.compile(rf"(?P<quote>['\"])(?P<path>{_START}(?:(?!(?P=quote)).)*)(?P=quote)")
BARE = re.compile(rf"(?<![\w./:~-])(?P<path>{_START}[^\s'\",;:)]+)")


def without_folders(text: str) -> str:
    """`text` with the last part alone of every path: where the server keeps its files is no visitor's business."""

    def shorten(found: re.Match[str]) -> str:
        last = re.split(r"[\\/]+", found["path"].rstrip("\\/"))[-1]
        return found[0].replace(found["path"], last)

    return BARE.sub(shorten, QUOTED.sub(shorten, text))


@contextmanager
def friendly() -> Iterator[None]:
    """Turn our own errors into `gr.Error` with their message, and any other into a logged one with a plain message.

    No message shows a folder of the server.
    """
    try:
        yield
    except gr.Error:
        raise
    except UDPError as error:
        raise gr.Error(without_folders(str(error)), title="That did not work", print_exception=False) from None
    except Exception as error:
        log.exception("unexpected error in a handler")
        raise gr.Error(
            f"expected this to work, got an error on our side ({type(error).__name__}). Your earlier results are kept. "
            "Please try again, with fewer or smaller photos if it repeats.",
            title="Something went wrong",
            print_exception=False,
        ) from None
