"""Protection methods. To add one: a file with a frozen dataclass, and a line here."""

from udp.protect.base import ProtectionMethod
from udp.protect.eudp import EUDP
from udp.protect.random_noise import RandomNoise
from udp.protect.udp import UDP

METHODS: dict[str, type[ProtectionMethod]] = {method.name: method for method in (EUDP, UDP, RandomNoise)}

__all__ = ["EUDP", "METHODS", "UDP", "ProtectionMethod", "RandomNoise"]
