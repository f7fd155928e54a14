"""Starts the app: `python app.py`, locally or on a Hugging Face Space."""

import os

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # read when gradio is imported

try:
    import spaces  # only on ZeroGPU, and before anything touches CUDA
except ImportError:
    spaces = None

from udp.ui import CSS, HEAD, build, owner_from, theme
from udp.ui.work import stream

if spaces is not None:
    stream = spaces.GPU(duration=110)(stream)  # an anonymous visitor has 120 s a day

demo = build(owner_from(os.environ), stream)

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
