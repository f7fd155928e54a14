"""Starts the app: `python app.py`, locally or on a Hugging Face Space."""

import functools
import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

try:
    import spaces  # only on ZeroGPU, and before anything touches CUDA
except ImportError:
    spaces = None

from udp.errors import UDPError
from udp.ui.page import build, launch_options
from udp.ui.state.owner import owner_from
from udp.ui.state.work import gpu_seconds, run_here, run_streamed, stream

runner = run_here
if spaces is not None:
    # The visitor's quota is asked for what the work is expected to need.
    runner = functools.partial(run_streamed, spaces.GPU(duration=gpu_seconds)(stream))

try:
    demo = build(owner_from(os.environ), runner)
except UDPError as error:
    raise SystemExit(f"error: {error}") from None

if __name__ == "__main__":
    demo.launch(server_name=os.environ.get("GRADIO_SERVER_NAME"), **launch_options())
