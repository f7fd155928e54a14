"""Protection methods. To add one: a file with a frozen dataclass, and a line here."""

from udp.protection.base import ProtectionMethod
from udp.protection.methods.advdm import AdvDM
from udp.protection.methods.aspl import ASPL
from udp.protection.methods.eudp import EUDP
from udp.protection.methods.eudp_target import EUDPTarget
from udp.protection.methods.fsmg import FSMG
from udp.protection.methods.mist import Mist
from udp.protection.methods.photoguard import PhotoGuard
from udp.protection.methods.random_noise import RandomNoise
from udp.protection.methods.sds import SDS
from udp.protection.methods.simac import SimAC
from udp.protection.methods.udp import UDP

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
    "RandomNoise",
    "SimAC",
]  # fmt: skip
