"""Look: warm paper, ink, one deep teal, IBM Plex Sans in two weights.

Fonts come from gradio's own files, so nothing is fetched from outside. Regular and Bold only: gradio 6.31's SemiBold file and
its Lora lack most letters.
"""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes

from udp.evaluation.arm_names import TRAINED
from udp.ui import say
from udp.ui.parts.progress import STAGE_SERIES


def theme() -> gr.themes.Base:
    """Soft, with colours darkened until every text passes WCAG AA in light and dark."""
    return gr.themes.Soft(
        primary_hue=colors.teal,
        secondary_hue=colors.teal,
        neutral_hue=colors.stone,
        text_size=sizes.text_md,
        radius_size=sizes.radius_md,
        spacing_size=sizes.spacing_md,
        font=(fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif"),
        font_mono=(fonts.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
    ).set(
        body_background_fill="#faf8f5",
        body_text_color="*neutral_900",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        block_shadow="none",
        block_shadow_dark="none",
        block_border_width="1px",
        block_border_color="*neutral_200",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_color="*neutral_800",
        block_title_text_color_dark="*neutral_100",
        block_title_text_weight="600",
        block_title_background_fill="none",
        block_title_background_fill_dark="none",
        block_title_padding="0",
        block_label_background_fill="*neutral_50",
        block_label_background_fill_dark="*neutral_800",
        checkbox_label_background_fill="white",
        checkbox_label_background_fill_dark="*neutral_800",
        checkbox_label_background_fill_hover="*neutral_50",
        checkbox_label_background_fill_selected="*primary_50",
        checkbox_label_background_fill_selected_dark="*primary_950",
        checkbox_label_text_color_selected="*primary_900",
        checkbox_label_text_color_selected_dark="*primary_100",
        checkbox_label_border_width="1px",
        checkbox_label_border_width_dark="1px",
        checkbox_label_border_color="*neutral_300",
        checkbox_label_border_color_dark="*neutral_600",
        checkbox_label_border_color_selected="*primary_700",
        checkbox_label_border_color_selected_dark="*primary_400",
        checkbox_label_shadow="none",
        checkbox_background_color_selected="*primary_700",
        checkbox_background_color_selected_dark="*primary_600",
        checkbox_border_color="*neutral_400",
        checkbox_border_color_dark="*neutral_400",
        checkbox_border_color_selected="*primary_700",
        checkbox_border_color_selected_dark="*primary_400",
        button_border_width="1px",
        button_border_width_dark="1px",
        button_secondary_background_fill="white",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_50",
        button_secondary_background_fill_hover_dark="*neutral_700",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_600",
        color_accent="*primary_800",
        border_color_accent_dark="*primary_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        button_primary_background_fill="*primary_800",
        button_primary_background_fill_hover="*primary_900",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
        button_primary_text_color="white",
        button_primary_shadow="none",
        button_secondary_shadow="none",
        slider_color="*primary_700",
        slider_color_dark="*primary_500",
        link_text_color="*primary_800",
        link_text_color_dark="*primary_300",
    )


def head() -> str:
    """What the page's head has: languages, the phone's address bar in the page's colour, and a margin as narrow as a phone."""
    return f"""
{say.head()}
<meta name="theme-color" content="#faf8f5" media="(prefers-color-scheme: light)">
<meta name="theme-color" content="#1c1917" media="(prefers-color-scheme: dark)">
<style>@media (max-width: 640px) {{ .gradio-container > .main {{ padding: .4rem .75rem !important; }} }}</style>
"""


CSS = """
.dark { --color-accent: var(--primary-400); }
footer .divider { display: none; }
.gradio-container { width: 100%; max-width: 1140px !important; margin: 0 auto !important; }
.hide-container > .html-container { padding: 0 !important; }
.masthead { padding: .5rem 0 0; }
.masthead h1 { font-size: 2rem; line-height: 1.2; font-weight: 700; letter-spacing: -.02em; margin: 0 0 .35rem; text-wrap: balance; }
.masthead p { max-width: 68rem; line-height: 1.5; margin: 0; }
.masthead .lead { font-size: 1.05rem; }
.promise { color: var(--body-text-color-subdued); font-size: .92rem; line-height: 1.6; max-width: 60rem; padding: .5rem 0; }
.promise p { margin: 0; }
.kept h2 { font-size: 1.2rem; line-height: 1.35; font-weight: 700; letter-spacing: -.01em; margin: 0; }
.kept .column { gap: .5rem !important; }
.kept-arms { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); column-gap: .9rem; }
.kept-arms figure { margin: 0; border-top: 4px solid var(--neutral-400); padding-top: .35rem; display: grid;
  grid-template-rows: subgrid; grid-row: span 3; gap: .35rem; align-content: start; }
.kept-arms figcaption { font-weight: 700; line-height: 1.3; }
.kept-arms img { display: block; width: 100%; height: auto; border-radius: 6px; }
.kept-picture { display: block; width: 100%; margin: 0 !important; padding: 0; border: 0; background: none; cursor: zoom-in; border-radius: 6px; }
.kept-arms dialog { margin: auto; padding: 1rem; border: 0; border-radius: 10px; text-align: center; color: inherit;
  background: var(--block-background-fill); max-width: min(94vw, 38rem); }
.kept-arms dialog::backdrop { background: rgb(0 0 0 / .6); }
.kept-arms dialog img { width: min(86vw, 70vh, 34rem); cursor: zoom-out; }
.kept-arms dialog button { margin-top: .8rem; padding: .4rem 1.2rem; border: 1px solid var(--border-color-primary); border-radius: 6px; }
.compare { margin-top: 1rem; }
.kept-more { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: .35rem; }
.kept-verdict { border-left: 4px solid var(--color-accent); padding: .1rem 0 .1rem .8rem; margin-top: .7rem; }
.kept-verdict p { font-size: 1.05rem; line-height: 1.4; font-weight: 700; margin: 0; }
.kept-verdict small { color: var(--body-text-color-subdued); font-size: .9rem; line-height: 1.45; display: block; }
.section { margin-top: .5rem; gap: 0 !important; }
.section h2 { font-size: 1.2rem; line-height: 1.35; font-weight: 700; letter-spacing: -.01em; margin: 0 0 .2rem; }
.section p { color: var(--body-text-color-subdued); margin: 0; max-width: 72ch; line-height: 1.55; }
.verdict { border-left: 4px solid var(--color-accent); padding: .3rem 0 .3rem 1rem; margin: .25rem 0; }
.verdict p { font-size: 1.15rem; line-height: 1.5; font-weight: 700; margin: 0; max-width: 60ch; }
.verdict small { color: var(--body-text-color-subdued); font-size: .9rem; line-height: 1.5; }
.status { margin: 0; padding: .4rem 0; line-height: 1.5; }
.status.quiet { color: var(--body-text-color-subdued); }
.status.warning { border-left: 4px solid #b45309; padding-left: 1rem; margin-bottom: .5rem; max-width: 72ch; }
.status.bad { color: #9f1239; } .dark .status.bad { color: #fda4af; }
.job { padding: .25rem 0 .5rem; }
.job-line { display: flex; flex-wrap: wrap; justify-content: space-between; gap: .15rem 1rem; margin-bottom: .45rem; }
.job-left { color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.job-track { height: 8px; border-radius: 4px; background: var(--border-color-primary); overflow: hidden; }
.job-fill { height: 100%; border-radius: 4px; background: var(--slider-color); }
.grid-wrap { min-height: 0 !important; height: auto !important; max-height: none !important; }
.thumbnails .grid-container { grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)) !important; }
.thumbnails .caption-label { display: none; }
/* A long choice ends in dots before the menu's arrow. */
.gradio-container input[role="combobox"] { padding-right: 2.25rem; text-overflow: ellipsis; }
.fill img { width: 100% !important; height: auto !important; max-height: 460px; object-fit: contain; }
.arm { gap: .35rem !important; }
.arm .grid-container { grid-template: none / repeat(max(4, var(--grid-cols)), minmax(0, 1fr)) !important; grid-auto-rows: auto !important; }
.film .arm .grid-container { grid-template: none / repeat(4, minmax(0, 9rem)) !important; }
.film .caption-label { font-size: .75rem; padding: 0 .3rem; }
.arm h3 { font-size: 1rem; font-weight: 700; margin: 0; padding-left: .6rem; border-left: 4px solid var(--neutral-400); }
.figures { overflow-x: auto; width: 0; min-width: 100%; }
.figures table { border-collapse: collapse; width: 100%; font-size: .95rem; font-variant-numeric: tabular-nums; }
.figures caption { text-align: left; color: var(--body-text-color-subdued); padding: .25rem 0 .5rem; }
.figures table, .figures tr, .figures th, .figures td { border: 0 !important; }
.figures thead tr, .figures tbody tr { border-bottom: 1px solid var(--border-color-primary) !important; }
.figures th, .figures td { text-align: right; padding: .55rem .75rem !important;
  vertical-align: top; font-weight: 400; overflow-wrap: normal !important; word-break: normal !important; }
.figures thead th { font-weight: 600; }
.figures th[scope="row"] { overflow-wrap: anywhere !important; }
.figures th:first-child { text-align: left; padding-left: 0 !important; min-width: 11rem; font-weight: 600; }
.figures small { display: block; font-weight: 400; color: var(--body-text-color-subdued); font-size: .85rem; }
.about { max-width: 54rem; padding: .5rem 0 1rem; line-height: 1.6; }
.about a, .promise a { padding: 0 !important; }
.about h2 { font-size: 1.2rem; font-weight: 700; margin: 1.4rem 0 .5rem; }
.about ul { list-style: disc; padding-left: 1.2rem; } .about li { margin: .4rem 0; }
.about pre { overflow-x: auto; padding: .8rem 1rem; border: 1px solid var(--border-color-primary); border-radius: 6px;
  font-size: .85rem; line-height: 1.5; }
.about .steps { list-style: none; padding: 0; margin: 0; display: grid; counter-reset: step; gap: 2rem;
  grid-template-columns: repeat(4, minmax(0, 1fr)); }
.about .steps li { position: relative; border: 1px solid var(--border-color-primary); border-radius: 8px; margin: 0;
  padding: .8rem .9rem; background: var(--block-background-fill); }
.about .steps li + li::before { content: "\\2192"; position: absolute; left: -1.55rem; top: calc(50% - .8rem); }
.about .steps b, .about .steps span { display: block; } .about .steps b { line-height: 1.35; margin-bottom: .3rem; }
.about .steps span { font-size: .92rem; line-height: 1.45; color: var(--body-text-color-subdued); }
.about .again { margin-top: 1rem; }
.rule { color: var(--body-text-color-subdued); font-size: .9rem; line-height: 1.55; max-width: 72ch; margin-top: .75rem; }
@media (max-width: 640px) {
  .about .steps { grid-template-columns: minmax(0, 1fr); }
  .about .steps li + li::before { content: "\\2193"; left: 50%; top: -1.9rem; }
  .masthead h1 { font-size: 1.45rem; margin-bottom: .2rem; }
  .masthead .lead { font-size: 1rem; line-height: 1.4; }
  .kept-more { display: none !important; }
  .kept-arms { column-gap: .5rem; } .kept-arms figcaption { font-size: .9rem; line-height: 1.25; }
  .kept-slider img, .kept-slider .slider-wrap { max-height: 165px !important; }
  .kept .row { gap: .5rem !important; } .kept h2 { font-size: 1.05rem; }
  .kept-verdict { margin-top: .4rem; } .kept-verdict p { font-size: .98rem; } .kept-verdict small { font-size: .82rem; line-height: 1.35; }
  .arm .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
  .film .arm .grid-container { grid-template-columns: repeat(4, minmax(0, 1fr)) !important; gap: .3rem; padding: .3rem; }
  .film .caption-label { font-size: .65rem; }
  .figures table { font-size: .82rem; }
  .figures small { font-size: .78rem; }
  .figures th, .figures td { padding: .5rem .25rem !important; }
  .figures th:first-child { min-width: 6.2rem; }
  .figures.few tr { display: grid; grid-template-columns: repeat(var(--columns), minmax(0, 1fr)); }
  .figures.few tr th:first-child { grid-column: 1 / -1; }
  .figures.few td { padding-top: 0 !important; }
  .figures.few thead th { align-self: end; }
  .figures.few thead th:first-child { display: none; }
}
"""
CSS += "".join(f".arm .arm-{arm}, .kept-arms .kept-{arm} {{ border-color: {arm.colour}; }}\n" for arm in TRAINED)
# The second and third step of the page About are what the plot of a protection shows.
CSS += "".join(
    f".about .steps li:nth-child({place}) {{ border-top: 4px solid {series.colour}; }}\n"
    for place, series in enumerate(STAGE_SERIES.values(), 2)
)
