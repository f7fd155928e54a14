"""The tab About: the method in one picture, what it is worth, and where it comes from."""

from __future__ import annotations

import gradio as gr

from udp.language import LANGUAGES, Language, text
from udp.ui.state.context import Context
from udp.ui.tabs.base import Tab

CITATION = """@article{zhao2023unlearnable,
  title   = {Unlearnable Examples for Diffusion Models: Protect Data from Unauthorized Exploitation},
  author  = {Zhao, Zhengyue and Duan, Jinhao and Hu, Xing and Xu, Kaidi and Wang, Chenan and 
             Zhang, Rui and Du, Zidong and Guo, Qi and Chen, Yunji},
  journal = {arXiv preprint arXiv:2306.01902},
  year    = {2023}
}"""
STEPS = ("photos", "learn", "adjust", "done")
LIMITS = ("cost", "imitator", "cleaning", "style", "copies", "png", "reading", "pixels", "trial")


class AboutTab(Tab):
    """The page About."""

    kind = "about"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        gr.HTML(about(context.owner.keep_minutes), padding=False)


def about(keep_minutes: float) -> str:
    """The page as HTML in every language; `keep_minutes` is how long a visitor's files stay after their page is closed."""
    english, *others = ((language, _page(language, keep_minutes)) for language in LANGUAGES)
    return f'<div class="in-en">{english[1]}</div>' + "".join(
        f'<div class="in-{language.code}" lang="{language.code}">{page}</div>' for language, page in others
    )


def _page(language: Language, keep_minutes: float) -> str:
    def say(id: str, **values: float) -> str:
        return language.say(text(f"about.{id}", **values))

    boxes = "".join(f"<li><b>{say(f'step.{step}')}</b><span>{say(f'step.{step}.text')}</span></li>" for step in STEPS)
    points = "".join(f"<li>{say(f'limit.{limit}')}</li>" for limit in LIMITS)
    return f"""<div class="about">
<h2>{say("how")}</h2>
<ol class="steps" aria-label="{say("steps")}">{boxes}</ol>
<p class="again">{say("again")}</p>
<h2>{say("worth")}</h2>
<ul>{points}</ul>
<h2>{say("photos")}</h2>
<p>{say("privacy", minutes=keep_minutes)}</p>
<h2>{say("cite")}</h2>
<p>{say("source")}</p>
<pre tabindex="0" aria-label="BibTeX">{CITATION}</pre>
</div>"""
