"""What `attack` and `evaluate` share: how pictures are sampled and measured."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from udp.cli.flags import number_of
from udp.errors import InvalidInput
from udp.evaluation.metrics.faces import DETECTOR, RECOGNISER, Faces, load_faces
from udp.evaluation.metrics.pretrained import CLIP, DINOV2, Pretrained, load_pretrained
from udp.evaluation.trial import Trial
from udp.models.sampling import GUIDANCE, STEPS

Models = TypeVar("Models")


def trial_from(options: argparse.Namespace, instance: str, prompt: str, **more: Any) -> Trial:
    """The trial of `attack` and `evaluate`. Raises `InvalidInput`."""
    trial = Trial(
        instance_prompt=instance,
        prompt=prompt,
        seed=options.seed,
        pictures=options.pictures,
        sampling_steps=options.sampling_steps,
        guidance=options.guidance,
        **more,
    )
    trial.check()
    return trial


def pretrained_from(options: argparse.Namespace) -> Pretrained | None:
    """The models of `--pretrained-metrics`; None, and nothing is loaded or downloaded, if it was not given."""
    return _if_asked(options, "--pretrained-metrics", {"--clip-model": CLIP, "--dinov2-model": DINOV2}, load_pretrained)


def faces_from(options: argparse.Namespace) -> Faces | None:
    """The models of `--face-metrics`; None, and nothing is loaded or downloaded, if it was not given."""
    return _if_asked(options, "--face-metrics", {"--face-detector": "", "--face-recogniser": ""}, load_faces)


def _if_asked(
    options: argparse.Namespace, switch: str, sources: Mapping[str, str], load: Callable[..., Models]
) -> Models | None:
    """What `load` makes of `sources`, flags and their defaults, if `switch` was given. Raises `InvalidInput` for flags without it."""
    value = lambda flag: getattr(options, flag.lstrip("-").replace("-", "_"))  # noqa: E731  as argparse names it
    if value(switch):
        return load(*(value(flag) or known for flag, known in sources.items()))
    if any(map(value, sources)):
        raise InvalidInput(f"expected {' and '.join(sources)} with {switch}, got them without it")
    return None


def add_trial_flags(parser: argparse.ArgumentParser) -> None:
    """How many pictures there are, and how they are sampled and measured."""
    pictures = Trial().pictures
    parser.add_argument(
        "--pictures",
        type=number_of(Trial, "pictures"),
        default=pictures,
        help=f"pictures an arm and run (default {pictures})",
    )
    own = "(default {:g} for a small model such as the embedded one, {:g} for Stable Diffusion's size)".format
    parser.add_argument(
        "--sampling-steps",
        type=number_of(Trial, "sampling_steps"),
        help=f"steps of a picture {own(STEPS.small, STEPS.large)}",
    )
    parser.add_argument(
        "--guidance",
        type=number_of(Trial, "guidance"),
        help=f"classifier-free guidance; 1 or less is none {own(GUIDANCE.small, GUIDANCE.large)}",
    )
    parser.add_argument(
        "--pretrained-metrics",
        action="store_true",
        help="also measure with CLIP and DINOv2, downloading 0.7 GB from the Hub unless they are here",
    )
    for flag, known in (("--clip-model", CLIP), ("--dinov2-model", DINOV2)):
        parser.add_argument(flag, help=f"for --pretrained-metrics, a Hub id or folder (default {known})")
    parser.add_argument(
        "--face-metrics",
        action="store_true",
        help="for photos of a person: also measure in how many pictures a face is found, and how much it is theirs (needs "
        "opencv-python-headless; downloads 39 MB from the Hub unless they are here)",
    )
    for flag, known in (("--face-detector", DETECTOR), ("--face-recogniser", RECOGNISER)):
        parser.add_argument(flag, help=f"for --face-metrics, an .onnx file (default {known[1]} of {known[0]})")
