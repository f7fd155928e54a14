"""Uploads that break off: refused with a sentence, and nothing of them stays on the server.

gradio writes an upload to a temporary file and deletes it where the upload is refused, but not where the connection is lost or
the body ends early: what came until then would stay until the disk is full.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder
from starlette.concurrency import run_in_threadpool
from starlette.formparsers import MultiPartException
from starlette.responses import PlainTextResponse

from udp.language import Language, language_of, text

log = logging.getLogger("udp.ui")
# gradio's name for a file that is still coming, in the folder of uploads; a whole one lies in a folder of its own.
COMING = re.compile(r"tmp[a-z0-9_]{8}")
SWEEP_SECONDS = 600
STALE_SECONDS = 3600  # without a byte: its process was killed, whichever that was
BOUNDARY = re.compile(r'boundary="?([^";,]+)"?', re.IGNORECASE)
EPILOGUE = 64  # bytes after the last boundary at most: a line's end, as a rule


class WholeUploads:
    """ASGI middleware for a gradio app: makes an upload that breaks off one that gradio refuses and cleans up after.

    What gradio fails at in another way is answered with a sentence too, and goes when it is stale.
    """

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app, self.swept = app, time.monotonic()

    async def __call__(self, scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].rstrip("/").endswith("/upload"):
            await self.app(scope, receive, send)
            return
        begun, headers = False, {key: value.decode("latin-1") for key, value in scope["headers"]}
        language = language_of(headers.get(b"accept-language", ""))

        async def noting(message: dict[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, whole(receive, headers.get(b"content-type", ""), language), noting)
        except Exception as error:  # gradio's parser fails at what is no form in many ways
            log.warning("an upload failed: %s", type(error).__name__)
            if begun:
                raise
            status, said = (507, "upload.no_room") if isinstance(error, OSError) else (400, "upload.no_form")
            await PlainTextResponse(language.say(text(said)), status)(scope, receive, send)
        if time.monotonic() - self.swept > SWEEP_SECONDS:
            self.swept = time.monotonic()
            await run_in_threadpool(remove_broken_off, Path(get_upload_folder()))


def whole(receive: Callable[..., Any], content_type: str, language: Language) -> Callable[..., Any]:
    """`receive`, which raises what a multipart parser does if the body ends before its last boundary."""
    found = BOUNDARY.search(content_type)
    closing = f"--{found[1]}--".encode("latin-1") if found else b""
    tail, ended = b"", False

    async def checked() -> dict[str, Any]:
        nonlocal tail, ended
        message = await receive()
        if ended:
            return message
        if message["type"] == "http.disconnect":
            raise MultiPartException(language.say(text("upload.broken_off")))
        tail = (tail + message.get("body", b""))[-len(closing) - EPILOGUE :]
        ended = not message.get("more_body", False)
        if ended and closing not in tail:
            raise MultiPartException(language.say(text("upload.broken_off")))
        return message

    return checked


def remove_broken_off(folder: Path) -> None:
    """Delete what killed processes have left of uploads that were coming; one that still comes is written to all the time."""
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        try:
            stale = COMING.fullmatch(path.name) and path.is_file() and not path.is_symlink()
            if stale and time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()
        except OSError:
            continue  # somebody else's, or gone
