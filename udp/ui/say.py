"""How a text reaches the page in the visitor's language.

The browser translates a label, one text a piece, and only texts without figures in them (`word`). So what is made while work
runs goes out in every language, and a style hides all but one (`spoken`, `head`). A plot has no room for several: there
the one that the browser asks for first decides (`speech`). Errors and the advanced settings are English only.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

import gradio as gr

from udp.evaluation.arm_names import ArmName, arm_title
from udp.imitation.recipes import RECIPES
from udp.language import ENGLISH, LANGUAGES, Language, Text, language_of, text
from udp.protection.methods import METHODS


def _style(code: str) -> str:
    """One language besides English: hidden until the browser speaks it, and then in English's place."""
    return (
        f".in-{code}, .speaks-{code} .in-en {{ display: none; }}\n"
        f".speaks-{code} .in-{code} {{ display: inline; }} .speaks-{code} div.in-{code} {{ display: block; }}\n"
        f".gradio-container .in-{code} {{ color: inherit; }}\n"
    )


def head() -> str:
    """For the page's head: gradio puts the app's own style sheet below a class, out of reach of one on the whole page."""
    others = [language.code for language in LANGUAGES[1:]]
    return f"""<script>
for (const code of {others}) {{
  if ((navigator.language || '').toLowerCase().startsWith(code)) document.documentElement.classList.add('speaks-' + code);
}}
</script>
<style>
.gradio-container .in-en {{ color: inherit; }}
{"".join(map(_style, others))}</style>"""


# What stands in English beside its code: the registries of which each entry has a title, by the first part of its id.
REGISTRIES: dict[str, dict[str, type]] = {"method": METHODS, "recipe": RECIPES}


def entry_title(registry: str, name: str) -> Text:
    """What an entry of one of `REGISTRIES` is called."""
    return text(f"{registry}.{name}", REGISTRIES[registry][name].title)


# Ids that no label has, by their first part: the browser need not load them.
NO_LABELS = {"about", "basis", "extractor", "lab", "note", "pairs", "unreadable", "verdict"}


def key_of(id: str) -> str:
    """What the browser knows a text by: a dot would mean nesting."""
    return id.replace(".", "_")


def translations(titles: Iterable[Text] = ()) -> gr.I18n:
    """What `launch` takes: every text without values, and `titles`, which have some or stand beside what they name."""
    fixed = [
        text(id)
        for id, entry in ENGLISH.texts.items()
        if isinstance(entry, str) and "{" not in entry and id.split(".")[0] not in NO_LABELS
    ]
    entries = [entry_title(registry, name) for registry, found in REGISTRIES.items() for name in found]
    everything = [*fixed, *map(arm_title, ArmName), *entries, *titles]
    tables = {language.code: {key_of(t.id): language.say(t) for t in everything} for language in LANGUAGES}
    if "zh" in tables:  # gradio looks a region's tag up before the language's
        tables["zh-CN"] = tables["zh"]
    return gr.I18n(**tables)


def word(said: Text | str) -> str | gr.I18nData:
    """A text, or the id of one without values, for a label, a button or a heading, in the visitor's language.

    As a part of a longer text, it has to be the only one: the browser translates one text a piece. What no language but
    English has stays as it is.
    """
    said = text(said) if isinstance(said, str) else said
    return gr.I18n()(key_of(said.id)) if any(said.id in other.texts for other in LANGUAGES[1:]) else ENGLISH.say(said)


def spoken(said: Text | str) -> str:
    """A text as HTML in every language that says it another way; a string is the same in all of them."""
    ways: dict[str, list[str]] = {}
    for language in LANGUAGES:
        ways.setdefault(language.say(said), []).append(language.code)
    if len(ways) == 1:
        return html.escape(next(iter(ways)))
    return "".join(_in(language, html.escape(language.say(said))) for language in LANGUAGES)


def _in(language: Language, content: str) -> str:
    # The page itself is in English, so only other languages are named to a screen reader.
    named = "" if language is ENGLISH else f' lang="{language.code}"'
    return f'<span class="in-{language.code}"{named}>{content}</span>'


def speech(request: gr.Request) -> Language:
    """The language that a visitor's browser asks for first."""
    return language_of(request.headers.get("accept-language", ""))
