"""Starts the app: `python app.py`, locally or on a Hugging Face Space."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

try:
    import spaces  # only on Spaces, and before anything touches CUDA
except ImportError:
    spaces = None

from udp.cli import Command
from udp.cli.app import add_flags, serve
from udp.errors import UDPError
from udp.models.loading import load_model
from udp.ui.page import build
from udp.ui.state.gpu import LentGpu, is_lent
from udp.ui.state.owner import owner_from
from udp.ui.state.work import run_here

options = None
if __name__ == "__main__":
    parser = Command(prog="app.py", description="The app; docs/owners.md lists its variables.")
    add_flags(parser)
    options = parser.parse_args()

try:
    owner, runner = owner_from(os.environ), run_here
    if spaces is not None and is_lent(os.environ):
        runner = LentGpu(spaces.GPU)
        # Once, before any call: the processes that work on a GPU are forked from this one, and their memory ends with them.
        load_model(owner.model).fingerprint  # noqa: B018  kept in the model
    demo = build(owner, runner)
except UDPError as error:
    raise SystemExit(f"error: {error}") from None

if __name__ == "__main__":
    try:
        serve(demo, options.port)
    except UDPError as error:
        raise SystemExit(f"error: {error}") from None
