"""The page's link: which job to find again after a reload, and the settings that were chosen.

The scripts run in the browser. A Space sits in a frame of huggingface.co, whose address bar follows a message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs, urlencode

import gradio as gr

_SHOW = """
  history.replaceState(null, '', url);
  if (window.parent !== window)
    window.parent.postMessage({queryString: url.search.slice(1), hash: ''}, 'https://huggingface.co');
"""

# A job's id alone opens nothing: the browser must also show this secret, which never leaves it but for the app.
ARRIVE = """() => {
  let secret = '';
  try {
    secret = localStorage.getItem('udp-secret') || '';
    if (!secret) {
      secret = Array.from(crypto.getRandomValues(new Uint8Array(24)), b => b.toString(16).padStart(2, '0')).join('');
      localStorage.setItem('udp-secret', secret);
    }
  } catch (error) { /* storage is blocked: a reload starts anew */ }
  return [secret, window.location.search];
}"""

REMEMBER_JOB = f"""(id) => {{
  const url = new URL(window.location);
  url.searchParams.set('job', id);
  {_SHOW}
}}"""

# Of changes that come together, as a link's do, only the last counts: all of them end with the same time, a moment after it.
SETTLED = """() => new Promise(settled => {
  const changes = (window.udpChanges ??= {}).KIND ??= {waiting: [], timer: 0};
  changes.waiting.push(settled);
  clearTimeout(changes.timer);
  changes.timer = setTimeout(() => {
    const now = Date.now();
    for (const end of changes.waiting.splice(0)) end(now);
  }, 100);
})"""

# The link to pass on has the settings and nothing private: no job, no theme, no view.
COPY_SETTINGS = """(query) => {
  const url = new URL(window.location.origin + window.location.pathname + (query ? '?' + query : ''));
  if (navigator.clipboard) navigator.clipboard.writeText(url.href).catch(() => {});
  return url.href;
}"""

MOST_CHARACTERS = 300  # of one value
Controls = list[tuple[str, gr.components.Component]]
Values = dict[gr.components.Component, Any]
# From the values of controls, those defaults that depend on them: sampling has other ones for another model.
Defaults = Callable[[Values], Values]


def settings_query(controls: Controls, values: Sequence[Any], defaults: Defaults) -> str:
    """The query of a link to these settings; what is at its default is left out.

    Controls may share a name (every method has its own slider of a field); the first that is not at its default counts.
    """
    found: dict[str, str] = {}
    own = defaults(dict(zip((control for _, control in controls), values, strict=True)))
    for (name, control), value in zip(controls, values, strict=True):
        if value != own.get(control, control.value) and value is not None:
            found.setdefault(name, ",".join(value) if isinstance(value, list) else f"{value}")
    return urlencode(found)


def settings_values(controls: Controls, query: str, defaults: Defaults) -> Values:
    """What a link's query sets. Values that a control would not take are left out: a link is anybody's text.

    What the link does not name goes to the default that suits what it does name.
    """
    given = {name: values[0] for name, values in parse_qs(query.removeprefix("?")).items()}
    named: Values = {}
    for name, control in controls:
        if name in given and len(given[name]) <= MOST_CHARACTERS:
            value = _value(control, given[name])
            if value is not None:
                named[control] = value
    return {**defaults(named), **named}


def _value(control: gr.components.Component, text: str) -> Any:
    if isinstance(control, gr.Slider | gr.Number):
        try:
            number = float(text)
        except ValueError:
            return None
        low, high = control.minimum, control.maximum
        inside = (low is None or number >= low) and (high is None or number <= high)
        return number if math.isfinite(number) and inside else None
    if isinstance(control, gr.Checkbox):
        return {"True": True, "False": False}.get(text)
    if isinstance(control, gr.CheckboxGroup):
        chosen = text.split(",")
        return chosen if set(chosen) <= {value for _, value in control.choices} else None
    if isinstance(control, gr.Radio | gr.Dropdown):  # a model outside the list is typed in, never linked to
        return text if text in {value for _, value in control.choices} else None
    return text
