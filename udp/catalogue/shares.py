"""Which sets are this process's: those of its machine's share, and of these its own among the processes there.

Nothing is handed out while it runs. Each process lists the same sets and takes every n-th, so none waits for another, and one
that dies takes no more with it than the set it was at.
"""

from __future__ import annotations

import functools
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from udp.errors import InvalidInput
from udp.settings import check_text

ARRAY = "SLURM_ARRAY_TASK_"


@dataclass(frozen=True)
class Share:
    """The part `index`, from 0, of `count` parts.

    `launch` is a name that it has in common with the `launched` parts, itself among them, that were started at once with it.
    """

    index: int = 0
    count: int = 1
    launch: str = ""
    launched: int = 1

    def within(self, outer: Share) -> Share:
        """This share of another one."""
        index, count = outer.index * self.count + self.index, outer.count * self.count
        return replace(self, index=index, count=count)

    def of(self, sets: int) -> range:
        """Which of so many sets are in it: every `count`-th, so that large folders, whose sets are neighbours, are shared too."""
        return range(self.index, sets, self.count)

    def beside(self, number: int) -> bool:
        """Whether the set of that number, from 0, is done in the same launch, by this part or another one."""
        return (number % self.count) // self.launched == self.index // self.launched


def share_of(text: str | None, environment: Mapping[str, str] = os.environ) -> Share:
    """The share that "2/5" names, the second of five; without a text, that of a Slurm job array, or all.

    Raises `InvalidInput`.
    """
    if text is not None:
        check_text("the shard", text)
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if not found or not 1 <= int(found[1]) <= int(found[2]):
            raise InvalidInput(f"expected --shard as i/n with i from 1 to n, such as 2/5, got {text!r}")
        return Share(int(found[1]) - 1, int(found[2]))
    if f"{ARRAY}ID" not in environment:
        return Share()
    way = "give --shard i/n"
    number = _number(environment, f"{ARRAY}ID", 0, way)
    count = _number(environment, f"{ARRAY}COUNT", 1, way)
    first = _number(environment, f"{ARRAY}MIN", 0, way, "0")
    step = _number(environment, f"{ARRAY}STEP", 1, way, "1")
    index, odd = divmod(number - first, step)
    if odd or not 0 <= index < count:
        raise InvalidInput(
            f"expected a job array of equal steps, such as --array=0-9, got task {number} of {count} from {first} on: give --shard i/n"
        )
    return Share(index, count)


def _number(environment: Mapping[str, str], name: str, least: int, way: str, otherwise: str | None = None) -> int:
    """The whole number in a variable, `otherwise` if it is not set. Raises `InvalidInput`, which ends with the `way` out."""
    text = environment.get(name, otherwise)
    if text is None or not re.fullmatch("[0-9]{1,9}", text) or int(text) < least:
        got = "none" if text is None else repr(text[:80])
        raise InvalidInput(f"expected {name} to be a whole number from {least} on, got {got}: {way}")
    return int(text)


def own_process() -> Share:
    """This process among those that `accelerate launch` or torchrun started; each has its GPU, if there are any.

    They share nothing but files, so the connection between them, which would end all when one dies, is given up as soon as they
    have agreed on the name of their launch. It runs on the processors: two processes may share a GPU. Raises `InvalidInput`.
    """
    way = "start the processes by accelerate or torchrun, or unset WORLD_SIZE"
    if _number(os.environ, "WORLD_SIZE", 1, way, "1") == 1:
        return Share()
    return _launched(way)


@functools.cache  # a connection that was given up cannot be had again
def _launched(way: str) -> Share:
    before = torch.distributed.is_initialized()
    try:
        state = PartialState(cpu=not torch.cuda.is_available(), backend="gloo")
    except ValueError as error:  # what a launcher sets beside it is missing
        raise InvalidInput(f"expected what a launcher sets beside WORLD_SIZE, got: {error}: {way}") from error
    (launch,) = broadcast_object_list([uuid.uuid4().hex])
    share = Share(state.process_index, state.num_processes, launch, state.num_processes)
    if not before:
        state.destroy_process_group()
    return share
