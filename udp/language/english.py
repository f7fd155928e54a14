"""English, the language that has every text but the titles which stand beside what they name."""

from __future__ import annotations

from typing import Any

from udp.language.base import Entry, Language


def _s(count: float) -> str:
    return "" if count == 1 else "s"


def _photos(count: int) -> str:
    return f"{count} photo{_s(count)}"


def _lesson(share: Any) -> str:
    """What an arm learned, an interval; a negative share is no lesson of any size."""
    shown = share.text()
    return f"less than nothing ({shown.replace(' (', ', ').removesuffix(')')})" if shown.startswith("-") else shown


def _texture(excess: Any) -> str:
    """How far the pictures are from the real photos beside the worse control's, whichever of the two is further."""
    if f"{excess.mean:z.1f}" == "0.0":
        words = "as far from the real photos as the worse control's"
    elif excess.mean > 0:
        words = f"{excess.mean:.1f} dB further from the real photos than the worse control's"
    else:
        words = f"{-excess.mean:.1f} dB nearer to the real photos than the worse control's"
    if excess.low is None:
        return words
    low, high = (f"{abs(x):.1f} dB {'further' if x > 0 else 'nearer'}" for x in (excess.low, excess.high))
    return f"{words} (from {low} to {high})"


def _pictures(excess: Any, likeness: Any) -> str:
    """How the pictures look beside the worse control's, by texture, by likeness or by both."""
    if not excess:
        return f"its pictures' likeness to the photos is {_lesson(likeness)} of the worse control's"
    texture = f"the texture of its pictures is {_texture(excess)}"
    return (
        f"{texture}, their likeness to the photos {_lesson(likeness)} of the worse control's" if likeness else texture
    )


TEXTS: dict[str, Entry] = {
    # the page
    "page.welcome": """<h1>Unlearnable photos</h1>
<p class="lead">Make it harder for image AI to imitate your photos: add a small change to every pixel, then train an
imitator and see what it gets.</p>""",
    "page.promise": """<p><b>No promise:</b> it hinders imitation and cannot rule it out. Other models, longer training, JPEG,
resizing or denoising can weaken it, and photos already online stay as they are. <b>Private:</b> only this tab sees your
photos; they are deleted from the server a few minutes after you close it. Methods: UDP and EUDP,
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>.</p>""",
    "tab.example": "Example",
    "tab.protect": "Protect",
    "tab.attack": "Attack",
    "tab.robustness": "Robustness",
    "tab.about": "About",
    "page.stop": "Stop",
    "page.advanced": "Advanced",
    "page.copy_link": "Copy a link to these settings",
    "example.subject": "Try the example subject",
    "example.style": "Try the example style",
    "example.person": "Try the painted person",
    # the tab Example
    "kept.slider": "Photo | protected photo",
    "kept.arms": "What an imitator gets from…",
    "kept.clean": "the photos",
    "kept.random": "random noise added",
    "kept.protected": "protected photos",
    "kept.alt": "What the imitator got: {caption}, seed {seed}",
    "kept.learned": lambda made, protected, random: (
        f"From the protected photos it learned {_lesson(protected)} of what the clean ones teach, from random noise "
        f"{_lesson(random)}. One run of {made} on this page's small model: an example, not evidence."
    ),
    "kept.enlarge": "Enlarge: {alt}",
    "kept.close": "Close",
    "kept.style_stays": "Less is learned, but to the eye the style can be recognised in every picture.",
    "kept.made": "One run of {made} on this page's small model: an example, not evidence.",
    "kept.live": "Run it yourself, live",
    "kept.own": "Protect my own photos",
    "kept.choice": "Show the example of",
    "kept.subject": "an object",
    "kept.style": "a style",
    # the tab Protect
    "protect.photos": "1. Your photos",
    "protect.photos.help": "Up to {most} of one subject, or of one style. No photos at hand? Try ours.",
    "protect.upload": "Photos",
    "protect.settings": "2. Protection",
    "protect.settings.help": "The defaults are a good start.",
    "protect.strength": "Strength",
    "protect.strength.help": "Sets the budget below. More protects more, and shows more",
    "strength.light": "Light",
    "strength.medium": "Medium",
    "strength.strong": "Strong",
    "protect.method": "Method",
    "protect.method.help": "Random noise is the control: a protection has to beat it",
    "protect.losses": "Loss (running mean)",
    "protect.start": "Protect",
    "protect.done": lambda count: f"Done: {_photos(count)} protected, every pixel within its budget.",
    "protect.results": "Protected photos",
    "protect.results.help": (
        "Choose a photo and drag the handle to compare. A larger budget protects more and shows more."
    ),
    "protect.slider": "Before and after",
    "protect.perturbation": "Perturbation on gray",
    "protect.still": "Side by side, without dragging",
    "protect.before": "Before",
    "protect.after": "After",
    "protect.download": "Download PNGs and settings (ZIP)",
    "protect.attack": "Next: see what an imitator gets",
    # saving to an account on the Hub
    "hub.title": "Save to my Hugging Face account (optional)",
    "hub.help": (
        "Sends the protected PNGs and their settings to a private dataset of yours, and nothing else: not the originals. Without "
        "this button nothing leaves this server."
    ),
    "hub.token": "Access token",
    "hub.token.help": "One that may write datasets; used once and not kept",
    "hub.name": "Name of the dataset",
    "hub.save": "Save as a private dataset",
    "hub.saved": "Saved, visible to you alone:",
    # which models a set was made against
    "reach.nothing": "Random noise is made against no model: it is the control that a protection has to beat.",
    "reach.model": "Made against: {model}.",
    "reach.latents": (
        "Also against the latents of Stable Diffusion 1.x at {sides} px, through a small copy of its encoder; as we measured "
        "it, that moves them little further than random noise does."
    ),
    "reach.sides": "Also at {sides} px.",
    "reach.encoders": "Also against the published autoencoders of {names}.",
    "reach.others": "Not made against {models}: there it may do no more than random noise.",
    "reach.rest": "Not made against any other model: there it may do no more than random noise.",
    "reach.style": (
        "It does not hide a style: in our trial, six paper-cut landscapes, the style could be recognised in every imitation by "
        "DreamBooth, at 8/255."
    ),
    "reach.keep": "JPEG and resizing weaken it: the tab Robustness shows how far. Keep the PNGs as they are.",
    # the tab Attack
    "attack.photos": "1. Photos",
    "attack.photos.help": "What the imitator gets hold of: your photos as they were, and as you protected them.",
    "attack.own": "Use my own clean and protected photos",
    "attack.clean": "Clean photos",
    "attack.protected": "The same photos, protected",
    "attack.imitator": "2. The imitator",
    "attack.imitator.help": "Fine-tunes one copy of the model on each set of photos, everything else equal.",
    "attack.recipe": "Recipe",
    "attack.recipe.help": "LoRA is what most people use, DreamBooth learns more; the last two train against protections",
    "attack.sets": "Sets to compare",
    "attack.sets.help": "Clean photos show what success looks like; random noise is what the protection has to beat",
    "attack.pictures": "Pictures from each set",
    "attack.losses": "Training loss (running mean), each set on its own photos",
    "attack.start": "Attack",
    "attack.results": "What the imitator gets",
    "attack.results.help": "Pictures in one column start from the same seed.",
    "film.title": "What it learns, step by step",
    "film.help": "The first seed's picture, made in a few sampling steps; the number is the training step.",
    "compare.title": "Compare two pictures of the same seed",
    "compare.help": "Drag the handle. Both started from the same noise; only the photos that the imitator had are different.",
    "compare.left": "Left",
    "compare.right": "Right",
    "compare.picture": "Picture",
    "compare.slider": "Left | right",
    "attack.download": "Download everything (ZIP)",
    "attack.card": "Download a result card (PNG)",
    "attack.keep": "Download the protected photos (ZIP)",
    "attack.cleaned": "Next: does it survive cleaning?",
    "attack.download.partial": "Download the finished pictures (ZIP)",
    # the tab Robustness
    "robustness.cleanings": "1. How the photos are cleaned",
    "robustness.cleanings.help": (
        "An imitator may clean the photos before training. Each cleaning is a trial of its own."
    ),
    "robustness.choice": "Cleanings",
    "robustness.choice.help": "Up to {most}, beside training on the photos as they are",
    "robustness.imitator.help": "Trains on the clean, the random-noise and the protected photos after each cleaning.",
    "robustness.recipe.help": "The same for every cleaning",
    "robustness.seeds": "Seeds",
    "robustness.seeds.help": "Repeats everything; gives 95% intervals",
    "robustness.start": "Test the protection",
    "robustness.results": "What is left",
    "robustness.results.help": (
        "Effect: how much less the imitator learned than from random noise of the same budget."
    ),
    "robustness.grids": "Pictures by cleaning",
    "robustness.download": "Download the report (ZIP)",
    "robustness.caption": "What the imitator learned after each cleaning, of what the clean photos teach without any",
    "robustness.cleaning": "Cleaning",
    "robustness.learned": "Learned: {arm}",
    "robustness.effect": "Effect",
    "robustness.kept": "Effect kept",
    "robustness.verdict": "Verdict",
    "robustness.kept.help": (
        "Effect kept is the share of the effect without cleaning; a dash: there was none to keep. "
        "The verdict judges by the clean photos cleaned alike."
    ),
    # while work runs
    "job.starting": "Starting",
    "job.waiting": "Waiting in line",
    "job.before": lambda count: f"{count} run{_s(count)} before yours",
    "job.stage": lambda stage: stage[:1].upper() + stage[1:],
    "job.stage.of": "{arm}: {stage}",
    "job.stage.arms": "{count} arms at once: {stage}",
    "stage.loading_the_model": "loading the model",
    "stage.training_the_surrogate": "training the surrogate",
    "stage.perturbing_the_photos": "perturbing the photos",
    "stage.choosing_timesteps": "choosing timesteps",
    "stage.drawing_noise": "drawing noise",
    "stage.cleaning_the_photos": "cleaning the photos",
    "stage.adapting_the_autoencoder": "adapting the autoencoder",
    "stage.fine-tuning": "fine-tuning",
    "stage.generating": "generating",
    "stage.finished": "finished",
    "stage.measuring_and_saving": "measuring and saving",
    "left.unknown": "estimating the time left",
    "left.none": "almost done",
    "left.about": "about {time} left",
    "time.seconds": "{number} s",
    "time.minutes": "{number} min",
    "time.hours": "{number} h",
    "pace.known": "Takes about {time}, going by the last runs here.",
    "pace.guessed": "Takes about {time} on two processor cores: a first guess.",
    "pace.unknown": "No estimate before the first run with this model here; the bar shows one after a few steps.",
    "job.stopping": "Stopping.",
    "job.stopped": "Stopped. Earlier results, if any, are kept.",
    "job.stopped.partly": "Stopped. What was finished is kept.",
    "job.kept": (
        "{done} of {total} parts are finished, and kept while this page is open: “{button}” with the same settings goes on with "
        "the rest."
    ),
    "job.done": "Done.",
    "plot.step": "Step",
    "plot.loss": "Loss",
    "plot.set": "Set",
    "plot.phase": "Phase",
    "plot.surrogate": "Surrogate learns",
    "plot.photos": "Photos perturbed",
    # what was done to a photo when it was read
    "note.metadata": "broken or oversized metadata left out",
    "note.frames": "only the first frame is used",
    "note.exif": "its EXIF data cannot be read, so it may lie on its side",
    "note.upright": "turned upright by its EXIF orientation",
    "note.srgb": "converted from {mode} to sRGB",
    "note.bits": "reduced from 16 or 32 bits to 8 bits a channel",
    "note.gray": "grayscale, saved as RGB",
    "note.palette": "palette expanded to full colour",
    "note.profile": "converted to sRGB, because its colour profile is too large for a PNG",
    # why a file is left out
    "photos.left_out": "Left out: {reason}",
    "unreadable.absent": "expected an image file, got {name!r}, which does not exist",
    "unreadable.folder": "expected an image file, got {name!r}, which is a folder",
    "unreadable.other": "{name!r} is no image file",
    "unreadable.raw": "expected {name!r} to be a finished photo, got a camera's raw file: export it as PNG",
    "unreadable.small": "expected {name!r} to be at least {side} x {side} pixels, got {width} x {height}",
    "unreadable.large": (
        "expected {name!r} to have at most {megapixels} megapixels and {side:,} pixels a side, got {found}: make it smaller"
    ),
    "unreadable.pixels": "{width:,} x {height:,} pixels",
    "unreadable.far_more": "far more",
    "unreadable.content": (
        "expected {name!r} to be a PNG, JPEG, HEIC, WebP, AVIF, TIFF or BMP photo, got a file that cannot be read as one: "
        "{reason}"
    ),
    "unreadable.changed": (
        "expected {name!r} to stay as it was while its folder is worked on, got another file or none: run the same command again"
    ),
    "upload.broken_off": "expected a whole upload, got one that breaks off: please send the files again",
    "upload.no_room": "expected room for the upload on this server, got none: please try again later",
    "upload.no_form": "expected files in the field `files` of a multipart form, got something else",
    "unreadable.empty": "it is empty",
    "unreadable.zeros": "it holds zeros alone; copy it again",
    "unreadable.pointer": "it is a Git LFS pointer; run `git lfs pull`",
    "unreadable.notes": "it is a Mac's notes about another file",
    "unreadable.damaged": "it is cut short or damaged, copy it again from where it came from ({error})",
    "unreadable.text": "it is text, as a web page or an error page that was saved under its name",
    "unreadable.unknown": "it holds no picture that is known here ({error})",
    # which photos an attack uses
    "source.nothing": (
        "Nothing is protected in this session yet. Start on the tab Protect, with your photos or an example."
    ),
    "source.own": "Using your own sets: {clean} clean and {protected} protected.",
    "source.session": (
        lambda count, method, budget: (
            f"Using the {'photo' if count == 1 else f'{count} photos'} protected in this session: {method}, budget {budget}/255."
        )
    ),
    "source.example": "Using the example {name} protected in this session: {method}, budget {budget}/255.",
    "source.example.subject": "subject",
    "source.example.style": "style",
    "source.example.person": "person",
    # what is odd about two sets of photos
    "pairs.kind.random": "random-noise",
    "pairs.kind.protected": "protected",
    "pairs.size": (
        "{count} of {total} {kind} photos ({names}) are not the size of their clean photos: resized, or of another set?"
    ),
    "pairs.sizes": "{name} {now}, clean {before}",
    "pairs.far": (
        "{count} of {total} {kind} photos ({names}) are further than {most}/255 from their clean photos: saved again as "
        "JPEG, or of another set?"
    ),
    "pairs.same": (
        "{count} of {total} {kind} photos ({names}) are the same as their clean photos, pixel by pixel: nothing protects "
        "them."
    ),
    # tables
    "visibility.caption": "How visible the change is (higher PSNR and SSIM: less visible)",
    "visibility.photo": "Photo",
    "visibility.change": "Largest change, of 255",
    "visibility.psnr": "PSNR, dB",
    "visibility.ssim": "SSIM",
    "visibility.notes": "Notes",
    "figures.caption": "Figures",
    "figures.figure": "Figure",
    "figures.before": "Before",
    "metric.in_unit": "{title}, {unit}",
    "interval.share": lambda interval: interval.text(),
    "interval.ends": "{low} to {high}",
    # verdicts: what each claims in a sentence, and its word in a table
    "verdict.collapsed": "Collapsed: the imitation failed in this trial",
    "verdict.collapsed.word": "collapsed",
    "verdict.degraded": "Degraded: the protection hindered the imitator but did not stop it",
    "verdict.degraded.word": "degraded",
    "verdict.only_haste": "Survives only haste: who trains longer learns as much as from random noise of the same budget",
    "verdict.only_haste.word": "survives only haste",
    "verdict.no_effect": "No effect: the protection did not beat random noise of the same budget",
    "verdict.no_effect.word": "no effect",
    "verdict.seeds_disagree": "Inconclusive: the seeds disagree",
    "verdict.seeds_disagree.word": "inconclusive: the seeds disagree",
    "verdict.not_learned": lambda lesson: (
        f"Inconclusive: clean arm failed to learn the subject (its loss on these photos "
        f"{'fell' if lesson >= 0 else 'rose'} by {abs(lesson):.0%}; train longer or choose another model)."
    ),
    "verdict.not_learned.word": "inconclusive: clean arm failed to learn the subject",
    "verdict.no_control": "Inconclusive: a clean, a random-noise and a protected arm are needed.",
    "verdict.no_control.word": "inconclusive: a clean, a random-noise and a protected arm are needed",
    "verdict.sentence": lambda claim, learned, random, excess, likeness, seeds: (
        f"{claim}. The imitator learned {_lesson(learned)} of what the clean photos teach, with random noise "
        f"{_lesson(random)}; {_pictures(excess, likeness)}"
        + ". "
        + ("One seed: an example, not evidence." if seeds < 2 else f"{seeds} seeds.")
    ),
    "verdict.likeness.dinov2_image_similarity": "Likeness was judged by DINOv2.",
    "verdict.likeness.structure_similarity": "Likeness was judged by structure (SSIM to the nearest photo); texture had no say.",
    "verdict.likeness.shape_similarity": "Likeness was judged by outlines and colours.",
    "verdict.likeness.none": "Likeness had no say: the controls gained too little of it.",
    "verdict.learned": (
        "One trial, one model, one recipe. Learned means: how far the loss on the clean photos fell, compared with "
        "fine-tuning on them."
    ),
    "verdict.rule": (
        "Learned is the drop of the denoising loss on the clean photos over the drop that the clean arm reaches. "
        "Inconclusive: the clean arm's loss fell by less than {lesson:.0%}, a control is missing, or the seeds disagree. "
        "Collapsed: learned below {collapse_learned:.0%} and the pictures' texture at least {excess:g} dB further from the "
        "real photos than the worse control's or their likeness at most {unlike:.0%} of its, or below {collapse_half:.0%} and "
        "{collapse_excess:g} dB or {collapse_unlike:.0%}: the pictures must show it, not only the loss. Likeness is what a "
        "fine-tune gains in similarity to the photos, by DINOv2 where it is at hand, else by structure (SSIM to the nearest "
        "photo) where it rises by at least {structure:g} in both controls, else by outlines and colours; where structure "
        "decides, texture has no say. Degraded: learned at least {effect:.0%} of the lesson less than from random noise of "
        "the same budget, or a texture at least {excess:g} dB or a likeness that much worse. Otherwise: no effect. With "
        "several seeds, a 95% interval over them (Student's t) has to lie beyond zero. The thresholds are conventions of "
        "this tool."
    ),
    # what a reader of the lab's report has to know before believing the figures
    "lab.one_seed": "One seed: an example, not evidence. Repeat with --seeds 3 or more.",
    "lab.few_pictures": "FID, KID, precision and recall rest on {pictures} pictures an arm and run: rough.",
    "lab.unprotected": "{share:.0%} of the imitator's photos were unprotected, in every arm.",
    "lab.not_learned": "The clean arm failed to learn the subject in: {cells}.",
    # what the figures rest on
    "basis.pictures": (
        "{pictures} pictures a run and arm against {photos} clean photos. Similarity, diversity, FID, KID, precision and "
        "recall: features of the base model's ({model}) U-Net, middle block at t = 100, pooled to 2 x 2, {numbers} numbers; "
        "they do not compare with Inception figures. Texture: wavelets, no network. Pattern: power spectra of the "
        "luminance, no network, {pictures} pairs of pictures of one seed, the arm's and the clean arm's; without any "
        "pattern it is not 0 but some dB. Intervals of one run: 95% bootstrap over its pictures; of several runs: 95% "
        "Student t over them."
    ),
    "basis.pretrained": (
        "CLIP and DINOv2 similarity: mean cosine of all pairs of a generated picture and a clean photo{among}{prompt}."
    ),
    "basis.among": " (pairs of different clean photos: CLIP {clip:.3f}, DINOv2 {dinov2:.3f})",
    "basis.prompt": (". CLIP prompt agreement: mean cosine of a picture and the whole prompt, made-up words included"),
    "basis.nothing": "",
    "basis.faces": (
        "Faces: the largest that is found in a picture; the person is the mean of the faces in {found} of {photos} clean photos."
    ),
    "extractor.photos": "{name}, {pictures} pictures a run and arm against {photos} clean photos",
    "extractor.faces": "{name}, those with a face of {pictures} pictures a run and arm against {photos} clean photos",
    "extractor.prompt": "{name}, {pictures} pictures a run and arm against the prompt",
    # a cleaning after another
    "cleaning.chain": "{first}, then {then}",
    # the tab About
    "about.step.photos": "Your photos",
    "about.step.photos.text": "plus a change of at most the budget in every pixel",
    "about.step.learn": "A copy of the model learns them",
    "about.step.learn.text": "a few training steps: its loss goes down",
    "about.step.adjust": "The change is adjusted",
    "about.step.adjust.text": "a few gradient steps on the pixels: the loss goes up",
    "about.step.done": "Protected photos",
    "about.step.done.text": "rounded to 8 bits inside the budget, saved as PNG",
    "about.limit.cost": (
        "<b>It raises the cost of imitation; it is no guarantee.</b> The perturbation is made against one model. "
        "Another model, longer training or a later method may learn from it all the same."
    ),
    "about.limit.imitator": (
        "<b>How the imitator trains decides a good deal.</b> By default it takes its time: 600 steps of four photos, "
        "without prior preservation. After far fewer every arm is soft, and there is little to compare. With prior preservation, "
        "guidance multiplies all that the photos taught, the change too. <b>One who first teaches the autoencoder your photos "
        "gets the subject back</b>: in our trial a dog that EUDP had broken was whole again. The recipe CAT tries it."
    ),
    "about.limit.cleaning": (
        "<b>Cleaning can undo it.</b> JPEG, resizing, denoising and diffusion purification weaken perturbations of "
        "this kind; the first author of the method showed so later ("
        '<a href="https://arxiv.org/abs/2312.00084" target="_blank" rel="noopener">arXiv&nbsp;2312.00084</a>). In our '
        "trials on the embedded model JPEG, half size and blur took little from the default protection; cutting the photos a "
        "little, or a round trip through the autoencoder, left the imitator a damaged but recognisable subject; <b>who first took of "
        "each photo the nearest picture that the decoder can make got the subject back, a little soft</b>. The tab "
        "Robustness measures it for your photos."
    ),
    "about.limit.style": (
        "<b>A style can still be recognised.</b> In our trial with paper-cut landscapes what is learned fell by more than half, and anybody "
        "would still recognise the style. Who first took of each picture the nearest one that the decoder can make got imitations of the "
        "protected ones that look as those of clean ones do that were cleaned alike."
    ),
    "about.limit.copies": (
        "<b>Unprotected copies undo it.</b> An imitator who also has your clean photos, from before or from "
        "elsewhere, needs no others."
    ),
    "about.limit.png": (
        "<b>Only PNG keeps it.</b> A site that recompresses what you upload changes the perturbation as well."
    ),
    "about.limit.reading": (
        "<b>EUDP's schedule is our reading, and one term and random crops are our additions.</b> The authors published neither code "
        "nor the formula by which timesteps are drawn. Ours draws them in proportion to the factor by which the "
        "noise schedule scales the picture, and it also moves each photo away from what it looks like once the "
        "model's autoencoder has encoded and decoded it, through random crops, so that cut photos stay protected too. An "
        "encoder weight of 0 and the setting Augment on none leave these out."
    ),
    "about.limit.pixels": (
        "<b>On a model of pixels it did not beat random noise.</b> In our trial such a model, which has no encoder "
        "as Stable Diffusion has one, learned no less from protected pictures than from noisy ones."
    ),
    "about.limit.trial": (
        "<b>What you see is one trial on a small model.</b> The embedded model has 128 pixels. A verdict here says "
        "what happened on it, not what will happen elsewhere. Random noise of the same budget is tried beside it, "
        "unless you leave it out."
    ),
    "about.how": "How it works",
    "about.steps": "The method in four steps",
    "about.worth": "What it is worth",
    "about.photos": "Your photos",
    "about.cite": "Cite",
    "about.again": (
        "The second and third step take turns for several rounds, so that the photos stay hard to learn however "
        "the\nmodel adapts. <b>UDP</b> treats all noise levels alike; <b>EUDP</b> spends more on those where the "
        "photo still\nshows through the noise."
    ),
    "about.privacy": lambda minutes: (
        f"Photos stay in a folder of your own on the server and are deleted {minutes:g} minute{_s(minutes)} after you close "
        "the page. A "
        "reload finds a running or finished job again, through the link and a secret that your browser keeps; the "
        "link alone shows nobody anything. No history is kept, no statistics are collected, and no other server is "
        "asked for anything, unless you save a protected set to an account of yours. The location and camera data of "
        "your photos (EXIF) are not copied into the protected files."
    ),
    "about.source": (
        "This app is an independent implementation of\n"
        '<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>. '
        "Please cite the paper:"
    ),
}
ENGLISH = Language("en", TEXTS)
