"""The result card, and what is said of a set's reach beside its download."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.conftest import picture
from tests.kept import VERDICT
from udp.evaluation.arm_names import TRAINED
from udp.evaluation.arms import Arm, Report
from udp.evaluation.trial import Trial
from udp.imitation.recipes import DreamBooth
from udp.protection.methods import EUDP, RandomNoise
from udp.reports.card import card
from udp.settings import for_model
from udp.ui.parts.reached import reached
from udp.ui.state.results import SavedPhoto, SavedProtection


def report_of(pictures: int) -> Report:
    images = tuple(picture(seed, 64, 64) for seed in range(pictures))
    arms = tuple(Arm(str(arm), images, (), {}) for arm in TRAINED)
    recipe, trial = for_model(DreamBooth(), True), for_model(Trial(), True)
    return Report(Arm("base", images, (), {}), arms, VERDICT, recipe=recipe, trial=trial)


def test_a_card_holds_pictures_verdict_and_settings() -> None:
    one, many = (card(report_of(pictures), "mini", EUDP()) for pictures in (1, 9))
    assert one.mode == "RGB" and one.width < many.width <= 1100
    narrow, wide = np.asarray(card(report_of(2), "mini", None)), np.asarray(card(report_of(2), "mini", EUDP()))
    assert wide.shape[0] >= narrow.shape[0] and narrow.shape[1] == wide.shape[1]
    again = np.asarray(card(report_of(2), "mini", EUDP()))
    assert np.array_equal(wide, again)  # no date and no place of this machine
    assert (wide[:, :4] == 255).all() and (wide[:, -4:] == 255).all()  # nothing runs over the edge
    assert not (wide[-60:] == 255).all()  # the last line is on it


def test_what_a_set_was_made_against_is_said_beside_it(tmp_path: Path) -> None:
    saved = SavedProtection((), EUDP(), 1.0, tmp_path, "a photo of sks", 0, model="mini")
    said = reached(saved)
    assert "Made against: Embedded model, 128 px." in said
    assert "Not made against Stable Diffusion 1.x and 2.x, SDXL, SD3, FLUX.1 and Z-Image:" in said
    assert "latents of Stable" not in said and "autoencoders" not in said
    assert "没有针对 Stable Diffusion" in said
    photo = SavedPhoto("a", (300, 200), *[tmp_path] * 6, figures={}, notes=())
    small = replace(photo, size=(128, 400))
    assert "latents of Stable" not in reached(replace(saved, photos=(small,), method=EUDP(reach="512")))
    saved = replace(saved, photos=(photo, small))
    further = replace(saved, method=EUDP(reach="512+1024", encoders="taesdxl,/srv/private/own"))
    said = reached(further)
    assert "at 512+1024 px, through" in said and "autoencoders of SDXL, own." in said and "/srv" not in said
    assert "Not made against SD3, FLUX.1 and Z-Image:" in said
    said = reached(replace(saved, method=EUDP(encoders="published")))
    assert "of Stable Diffusion 1.x and 2.x, SDXL, SD3, FLUX.1 and Z-Image." in said and "any other model" in said
    own = reached(replace(saved, model="/srv/models/mine", method=EUDP(reach="1024")))
    assert "/srv" not in own and "Also at 1024 px." in own and "small copy" not in own and "any other model" in own
    assert "style" not in said and "风格" not in said
    painted = reached(replace(saved, prompt="A drawing in the Style of zwx"))
    assert "It does not hide a style" in painted and "它遮不住风格" in painted
    assert "hide a style" not in reached(
        replace(saved, prompt="a drawing in the style of zwx", model="/srv/models/mine")
    )
    assert "made against no model" in reached(replace(saved, method=RandomNoise()))
