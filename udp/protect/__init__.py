"""Protection methods. To add one: a file with a frozen dataclass, and a line here."""

import sys
from types import ModuleType
from typing import Any

from udp.protect.advdm import AdvDM
from udp.protect.aspl import ASPL
from udp.protect.base import ProtectionMethod
from udp.protect.eudp import EUDP
from udp.protect.eudp_target import EUDPTarget
from udp.protect.fsmg import FSMG
from udp.protect.mist import Mist
from udp.protect.photoguard import PhotoGuard
from udp.protect.random_noise import RandomNoise
from udp.protect.sds import SDS
from udp.protect.simac import SimAC
from udp.protect.udp import UDP
from udp.types import Photo

METHODS: dict[str, type[ProtectionMethod]] = {
    method.name: method
    for method in (EUDP, EUDPTarget, UDP, AdvDM, FSMG, ASPL, SimAC, SDS, Mist, PhotoGuard, RandomNoise)
}

__all__ = [
    "ASPL",
    "EUDP",
    "FSMG",
    "METHODS",
    "SDS",
    "UDP",
    "AdvDM",
    "EUDPTarget",
    "Mist",
    "PhotoGuard",
    "ProtectionMethod",
    "RandomNoise",
    "SimAC",
]  # fmt: skip

# After METHODS, which it reads.
from udp.protect.quick import protect_photos  # noqa: E402


class _Callable(ModuleType):
    """`from udp import protect` gives this package whatever was imported before, and calling it protects photos."""

    def __call__(self, *arguments: Any, **settings: Any) -> list[Photo]:
        """See `udp.protect.quick.protect_photos`."""
        return protect_photos(*arguments, **settings)


sys.modules[__name__].__class__ = _Callable
