"""Starts the app: `python app.py`, locally or on a Hugging Face Space."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

try:
    import spaces  # only on ZeroGPU, and before anything touches CUDA
except ImportError:
    spaces = None

from udp.ui import CSS, HEAD, build, theme
from udp.ui.work import stream

if spaces is not None:
    stream = spaces.GPU(duration=110)(stream)  # an anonymous visitor has 120 s a day

# On a Space visitors share one machine; at home a run may take as long as it likes.
demo = build(os.environ.get("UDP_MODEL", "mini"), stream, most_seconds=30 * 60 if os.environ.get("SPACE_ID") else None)

if __name__ == "__main__":
    demo.launch(
        theme=theme(),
        css=CSS,
        head=HEAD,
        server_name=os.environ.get("GRADIO_SERVER_NAME"),
        max_file_size="50mb",
        run_history=False,
        footer_links=["api"],
        share=False,
    )
