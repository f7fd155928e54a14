"""The tab About: the method in one picture, what it is worth, and where it comes from."""

from __future__ import annotations

CITATION = """@article{zhao2023unlearnable,
  title   = {Unlearnable Examples for Diffusion Models: Protect Data from Unauthorized Exploitation},
  author  = {Zhao, Zhengyue and Duan, Jinhao and Hu, Xing and Xu, Kaidi and Wang, Chenan and 
             Zhang, Rui and Du, Zidong and Guo, Qi and Chen, Yunji},
  journal = {arXiv preprint arXiv:2306.01902},
  year    = {2023}
}"""

STEPS = (
    ("Your photos", "plus a change of at most the budget in every pixel"),
    ("A copy of the model learns them", "a few training steps: its loss goes down"),
    ("The change is adjusted", "a few gradient steps on the pixels: the loss goes up"),
    ("Protected photos", "rounded to 8 bits inside the budget, saved as PNG"),
)

LIMITS = (
    "<b>It raises the cost of imitation; it is no guarantee.</b> The perturbation is made against one model. Another model, "
    "longer training or a later method may learn from it all the same.",
    "<b>Cleaning can undo it.</b> JPEG, resizing, denoising and diffusion purification weaken perturbations of this "
    'kind; the first author of the method showed so later (<a href="https://arxiv.org/abs/2312.00084" target="_blank" '
    'rel="noopener">arXiv&nbsp;2312.00084</a>). The tab Robustness measures it for your photos.',
    "<b>Unprotected copies undo it.</b> An imitator who also has your clean photos, from before or from elsewhere, needs "
    "no others.",
    "<b>Only PNG keeps it.</b> A site that recompresses what you upload changes the perturbation as well.",
    "<b>EUDP's schedule is our reading.</b> The authors published neither code nor the formula by which timesteps are "
    "drawn. Ours draws them in proportion to the factor by which the noise schedule scales the picture.",
    "<b>What you see is one trial on a small model.</b> The embedded model has 128 pixels. A verdict here says what "
    "happened on it, not what will happen elsewhere. Random noise of the same budget is always tried beside it.",
)

PRIVACY = (
    "Photos stay in a folder of your own on the server and are deleted {minutes} after you close the page. A reload finds "
    "a running or finished job again, through the link and a secret that your browser keeps; the link alone shows nobody "
    "anything. No history is kept, no statistics are collected, and no other server is asked for anything. The location "
    "and camera data of your photos (EXIF) are not copied into the protected files."
)


def about(keep_minutes: float) -> str:
    """The page as HTML; `keep_minutes` is how long a visitor's files stay after their page is closed."""
    privacy = PRIVACY.format(minutes=f"{keep_minutes:g} minute{'' if keep_minutes == 1 else 's'}")
    steps = "".join(f"<li><b>{title}</b><span>{text}</span></li>" for title, text in STEPS)
    limits = "".join(f"<li>{text}</li>" for text in LIMITS)
    return f"""<div class="about">
<h2>How it works</h2>
<ol class="steps" aria-label="The method in four steps">{steps}</ol>
<p class="again">The second and third step take turns for several rounds, so that the photos stay hard to learn however the
model adapts. <b>UDP</b> treats all noise levels alike; <b>EUDP</b> spends more on those where the photo still
shows through the noise.</p>
<h2>What it is worth</h2>
<ul>{limits}</ul>
<h2>Your photos</h2>
<p>{privacy}</p>
<h2>Cite</h2>
<p>This app is an independent implementation of
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>. Please cite the paper:</p>
<pre tabindex="0" aria-label="BibTeX entry">{CITATION}</pre>
</div>"""
