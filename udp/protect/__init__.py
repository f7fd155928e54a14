"""Protection methods. To add one: a file with a frozen dataclass, and a line here."""

from udp.protect.advdm import AdvDM
from udp.protect.aspl import ASPL
from udp.protect.base import ProtectionMethod
from udp.protect.eudp import EUDP
from udp.protect.fsmg import FSMG
from udp.protect.mist import Mist
from udp.protect.photoguard import PhotoGuard
from udp.protect.random_noise import RandomNoise
from udp.protect.sds import SDS
from udp.protect.simac import SimAC
from udp.protect.udp import UDP

METHODS: dict[str, type[ProtectionMethod]] = {
    method.name: method for method in (EUDP, UDP, AdvDM, FSMG, ASPL, SimAC, SDS, Mist, PhotoGuard, RandomNoise)
}

__all__ = [
    "ASPL", "EUDP", "FSMG", "METHODS", "SDS", "UDP", "AdvDM", "Mist", "PhotoGuard", "ProtectionMethod", "RandomNoise",
    "SimAC",
]  # fmt: skip
