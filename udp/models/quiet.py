"""Silence while the libraries load a model of ours, about which what they say misleads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging


@contextmanager
def quietly() -> Iterator[None]:
    """No bars and no warnings of diffusers and transformers, only their errors.

    They advise to install torchvision, which nothing here needs, and warn of an autoencoder that is not the usual class.
    About a model of the user's own a warning can be the only hint at what is wrong with it: load that without.
    """
    with ExitStack() as after:
        for logging in (diffusers_logging, transformers_logging):
            after.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity_error()
            if logging.is_progress_bar_enabled():
                after.callback(logging.enable_progress_bar)
                logging.disable_progress_bar()
        yield
