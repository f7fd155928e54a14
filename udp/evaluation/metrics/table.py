"""All figures. To add one: a row here, and its title in the languages besides English.

Tables on the page, in the report and on the command line have them in this order.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from udp.evaluation.interval import Figures, Intervals
from udp.evaluation.metrics.base import Better, Extractor, Metric
from udp.evaluation.metrics.features import clean_loss, diversity, similarity
from udp.evaluation.metrics.figures import BesideClean, Imitation
from udp.evaluation.metrics.figures_faces import FacesSeen
from udp.evaluation.metrics.figures_pretrained import Seen
from udp.evaluation.metrics.quality import blur, texture, texture_distance
from udp.evaluation.metrics.reference import Reference
from udp.evaluation.metrics.sets import bootstrap, frechet_distance, kernel_distance, precision_recall
from udp.language import Text

LOSS, NETWORK, WAVELETS, SPECTRA, SHAPES, PIXELS, TRAINING, CLIP, DINOV2, FACES = Extractor
LOWER, HIGHER = Better

ROWS = (
    Metric(
        "clean_loss", "Loss on the clean photos",
        "Lower: the model knows the real subject better. What the verdict uses.",
        Imitation, lambda x: clean_loss(x.model, x.network, x.reference.photos, x.reference.prompt),
        LOSS, LOWER, digits=4,
    ),
    Metric(
        "diversity", "Diversity", "Mean distance between the pictures of a row. 0: all the same.",
        Imitation, lambda x: diversity(x.features), NETWORK, HIGHER,
    ),
    Metric(
        "similarity", "Similarity to the clean photos", "1: the same picture. 0: no nearer than before fine-tuning.",
        Imitation,
        lambda x: lambda chosen: similarity(x.features[chosen], x.reference.real, x.reference.before.mean(0)),
        NETWORK, HIGHER,
    ),
    Metric(
        "shape_similarity", "Shapes and colours like the clean photos",
        "The same, seen without the model: outlines and colours. What the verdict uses where nothing finer serves.",
        Imitation,
        lambda x: lambda chosen: similarity(x.shapes[chosen], x.reference.shapes, x.reference.shapes_before.mean(0)),
        SHAPES, HIGHER,
    ),
    Metric(
        "structure_similarity", "Structure of the nearest clean photo",
        "1: that photo again, pixel by pixel. What the verdict uses where photos are learned by heart.",
        Imitation, lambda x: x.structure(), PIXELS, HIGHER,
    ),
    Metric(
        "texture_distance", "Texture off by", "How far the texture is from the clean photos'. 0: the same.",
        Imitation, lambda x: texture_distance(texture(x.images), x.reference.texture), WAVELETS, LOWER, unit="dB",
    ),
    Metric(
        "noise_level", "Noise in the pictures", "Estimated noise, in levels of 255. Higher: grainier.",
        Imitation, lambda x: x.noise(), WAVELETS,
    ),
    Metric("blur", "Blur", "Higher: softer.", Imitation, lambda x: blur(x.images), PIXELS),
    Metric(
        "fid", "FID", "Distance of the two sets in the base model's features. 0: alike. Rough for few pictures.",
        Imitation, lambda x: x.of_sets(frechet_distance), NETWORK, LOWER,
    ),
    Metric(
        "kid", "KID", "The same by another measure, which few pictures bias less.",
        Imitation, lambda x: x.of_sets(kernel_distance), NETWORK, LOWER,
    ),
    Metric(
        "precision", "Precision", "Quality: the share of the pictures that lie among the clean photos.",
        Imitation, lambda x: x.of_sets(lambda ours, real: precision_recall(ours, real)[0]), NETWORK, HIGHER,
    ),
    Metric(
        "recall", "Recall", "Diversity: the share of the clean photos that lie among the pictures.",
        Imitation, lambda x: x.of_sets(lambda ours, real: precision_recall(ours, real)[1]), NETWORK, HIGHER,
    ),
    Metric(
        "final_training_loss", "Final training loss", "Mean of the last fifth, on the photos of that row.",
        Imitation, lambda x: x.final_loss(), TRAINING, digits=4,
    ),
    Metric(
        "weight_change", "Weight change", "How far the weights moved. 0 would mean nothing was learned.",
        Imitation, lambda x: x.weight_change, TRAINING, digits=5,
    ),
    # The next three are CLIP-I, DINO and CLIP-T of arXiv 2208.12242.
    Metric(
        "clip_image_similarity", "CLIP image similarity", "To the clean photos, by CLIP. 1: the same.",
        Seen, lambda x: x.to_photos(CLIP), CLIP, HIGHER, digits=4,
    ),
    Metric(
        "dinov2_image_similarity", "DINOv2 image similarity", "To the clean photos, by DINOv2. 1: the same.",
        Seen, lambda x: x.to_photos(DINOV2), DINOV2, HIGHER, digits=4,
    ),
    Metric(
        "clip_prompt_agreement", "Agreement with the prompt", "Of the pictures with the prompt, by CLIP. Higher: closer.",
        Seen, lambda x: x.to_prompt(), CLIP, HIGHER, digits=4, on_prompt=True,
    ),
    Metric(
        "face_share", "Pictures with a face", "The share in which a detector finds one. 1: all of them.",
        FacesSeen, lambda x: x.share(), FACES, HIGHER,
    ),
    Metric(
        "identity_similarity", "The same person", "Cosine to the person in the clean photos, where a picture has a face.",
        FacesSeen, lambda x: x.alike(), FACES, HIGHER,
    ),
    Metric(
        "pattern_excess", "Stripes or other pattern", "Beyond the pictures from clean photos. Some dB are chance.",
        BesideClean, lambda x: x.pattern(), SPECTRA, LOWER, unit="dB",
    ),
)  # fmt: skip
METRICS: dict[str, Metric] = {row.key: row for row in ROWS}


def measure(evidence: Any) -> tuple[Figures, Intervals]:
    """Every figure that is made from this kind of evidence, and 95% bootstrap intervals where the pictures decide.

    A single picture has no interval.
    """
    figures: Figures = {}
    intervals: Intervals = {}
    count = len(evidence.images)
    for row in METRICS.values():
        value = row.function(evidence) if isinstance(evidence, row.evidence) else None
        if value is None:
            continue
        if isinstance(value, np.ndarray):
            value = lambda chosen, each=value: float(each[chosen].mean())  # noqa: E731  a figure like those of sets
        if not callable(value):
            figures[row.key] = round(value, row.digits)
            continue
        figures[row.key] = round(value(np.arange(count)), row.digits)
        if count > 1:
            intervals[row.key] = bootstrap(value, count)
    return figures, intervals


def extractors(reference: Reference, pictures: int) -> dict[str, Text]:
    """By figure of a model of others, what sees the pictures and how many samples it rests on."""
    rows = (row for row in METRICS.values() if row.evidence is reference.evidence)
    return {row.key: said for row in rows if (said := reference.rests_on(row, pictures))}
