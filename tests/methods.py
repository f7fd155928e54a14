"""Every protection method with settings small enough for a test, and other ways to run some of them."""

from __future__ import annotations

import dataclasses

from udp.protection.base import ProtectionMethod
from udp.protection.methods import ASPL, EUDP, FSMG, SDS, UDP, AdvDM, EUDPTarget, Mist, PhotoGuard, RandomNoise, SimAC

# Every method with settings small enough for a test; `test_methods.py` fails for one that is missing here.
ROUNDS = {"rounds": 2, "surrogate_steps": 1, "pgd_steps": 2, "step_size": 3 / 255}
FLAT = {"pgd_steps": 3, "step_size": 3 / 255}
TABLE: dict[str, ProtectionMethod] = {
    "eudp": EUDP(**ROUNDS),
    "eudp-target": EUDPTarget(**ROUNDS),
    "udp": UDP(**ROUNDS),
    "advdm": AdvDM(**FLAT),
    "fsmg": FSMG(**FLAT, surrogate_steps=2),
    "aspl": ASPL(**ROUNDS),
    "simac": SimAC(**ROUNDS),
    "sds": SDS(**FLAT),
    "mist": Mist(**FLAT),
    "photoguard": PhotoGuard(**FLAT),
    "random": RandomNoise(),
}
# Other ways to run them that must keep the same promises.
VARIANTS: dict[str, ProtectionMethod] = {
    "advdm-": AdvDM(**FLAT, sign="descend", timestep_weights="band"),
    "sds+": SDS(**FLAT, sign="ascend"),
    "mist-textural": Mist(**FLAT, mode="textural"),
    "mist-semantic": Mist(**FLAT, mode="semantic"),
    "photoguard-pattern": PhotoGuard(**FLAT, target="pattern"),
    "eudp-paper": EUDP(**ROUNDS, encoder_weight=0.0),
    "eudp-all": EUDP(**ROUNDS, momentum=1.0, step_schedule="linear", encoder_weight=1.0, timestep_weights="snr"),
    "advdm-eot": AdvDM(**FLAT, augment="all"),
}
# Surrogates that learn in adapters instead of every weight.
ADAPTERS: dict[str, ProtectionMethod] = {
    f"{name}-adapters": dataclasses.replace(TABLE[name], surrogate="adapters")
    for name in ("udp", "eudp", "fsmg", "aspl")
}
