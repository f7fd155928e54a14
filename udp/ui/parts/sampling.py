"""The two sliders that say how pictures are sampled; they start at what suits the model and follow it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gradio as gr

from udp.errors import UDPError
from udp.models.loading import taken_for_small, usual_of
from udp.models.sampling import own_sampling
from udp.ui.parts.inputs import Inputs
from udp.ui.parts.layout import QUICK
from udp.ui.state.owner import Owner


def sampling_of(name: str) -> tuple[int, float]:
    """Steps and guidance that suit a model, known before it is loaded."""
    return own_sampling(taken_for_small(name), usual_of(name))


class Sampling:
    """The sliders, built inside the current layout and added to a tab's inputs."""

    def __init__(self, owner: Owner, inputs: Inputs) -> None:
        self.owner = owner
        steps, guidance = self._own(owner.model) or own_sampling(small=True)
        follows = "Starts at what suits the model, and follows it"
        boxes = (
            gr.Slider(1, 50, steps, step=1, label="Sampling steps", info=follows),
            gr.Slider(1, 10, guidance, step=0.5, label="Guidance scale", info=follows),
        )
        self.steps, self.guidance = map(inputs.add, ("sampling_steps", "guidance"), boxes)

    def follow(self, model: gr.Dropdown) -> None:
        """Move the sliders when the visitor picks a model; a link leaves them where it says, or at `own`."""
        self.model = model
        model.input(self.moved, model, [self.steps, self.guidance], **QUICK)

    def moved(self, name: str | None) -> tuple[gr.Slider, gr.Slider]:
        """The sliders for a model that was picked, unmoved if it is none; the reason is shown when a run starts."""
        own = self._own(name)
        if own is None:
            return gr.skip(), gr.skip()
        return gr.Slider(value=own[0]), gr.Slider(value=own[1])

    def own(self, values: Mapping[gr.components.Component, Any]) -> dict[gr.components.Component, float]:
        """The sliders' values that suit the model in `values`; none without a model there."""
        own = self._own(values[self.model]) if values.get(self.model) else None
        return dict(zip((self.steps, self.guidance), own, strict=True)) if own else {}

    def _own(self, name: str | None) -> tuple[int, float] | None:
        try:
            return sampling_of(self.owner.check_model(name))
        except UDPError:
            return None
