"""The page's words in English and Chinese; the browser's language decides.

The English text is the source; a text without a translation is shown in English. Texts made while work runs
(figures, verdicts, errors) and the advanced settings are English only.
"""

from __future__ import annotations

import re

import gradio as gr

WELCOME = """<h1>Unlearnable photos</h1>
<p class="lead">Add a small, bounded change to your photos, so that a diffusion model fine-tuned on them learns less. Then
play the imitator, and see how well that works.</p>
<p class="fine"><b>No promise:</b> it hinders imitation and cannot rule it out. Other models, longer training, JPEG, resizing
or denoising can weaken it, and photos already online stay as they are. <b>Private:</b> only this tab sees your photos; they
are deleted from the server a few minutes after you close it. Methods: UDP and EUDP,
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>.</p>"""

ZH = {
    WELCOME: """<h1>不可学习的照片</h1>
<p class="lead">为照片加上微小且有上限的扰动，使在其上微调的扩散模型学到的更少。然后扮演模仿者，看看效果如何。</p>
<p class="fine"><b>没有保证：</b>它只能妨碍模仿，不能杜绝。其他模型、更长的训练、JPEG、缩放或去噪都可能削弱它，已经在网上的照片也不会改变。
<b>隐私：</b>只有这个页面能看到您的照片；关闭几分钟后即从服务器删除。方法：UDP 与 EUDP，
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>。</p>""",
    "Protect": "保护",
    "Attack": "攻击",
    "Robustness": "稳健性",
    "About": "说明",
    "Stop": "停止",
    "Advanced": "高级设置",
    "Photos": "照片",
    "1. Your photos": "1. 您的照片",
    "Up to 16 of one subject, or of one style. No photos at hand? Try ours.": (
        "同一对象或同一风格的照片，最多 16 张。手边没有照片？试试我们的示例。"
    ),
    "Try the example subject": "试用示例对象",
    "Try the example style": "试用示例风格",
    "2. Protection": "2. 保护方式",
    "The defaults are a good start.": "默认设置即可开始。",
    "Strength": "强度",
    "Sets the budget below. More protects more, and shows more": "决定下方的扰动上限。越强保护越多，也越容易看出来",
    "Method": "方法",
    "Random noise is the control: a protection has to beat it": "随机噪声是对照组：有效的保护必须胜过它",
    "Protected photos": "受保护的照片",
    "Choose a photo and drag the handle to compare. A larger budget protects more and shows more.": (
        "选择一张照片并拖动滑块进行比较。扰动上限越大，保护越强，也越明显。"
    ),
    "Side by side, without dragging": "并排对比（无需拖动）",
    "Before": "保护前",
    "After": "保护后",
    "Download PNGs and settings (ZIP)": "下载 PNG 与设置（ZIP）",
    "Attack these photos": "攻击这些照片",
    "1. Photos": "1. 照片",
    "What the imitator gets hold of: your photos as they were, and as you protected them.": (
        "模仿者得到的照片：未保护的原图，以及受保护的版本。"
    ),
    "Use my own clean and protected photos": "使用我自己的原图和受保护的照片",
    "Clean photos": "原图",
    "The same photos, protected": "同样的照片（已保护）",
    "2. The imitator": "2. 模仿者",
    "Fine-tunes one copy of the model on each set of photos, everything else equal.": (
        "在每组照片上各微调一份模型，其余条件完全相同。"
    ),
    "Recipe": "微调方式",
    "Sets to compare": "参与比较的组",
    "Clean photos show what success looks like; random noise is what the protection has to beat": (
        "原图表明模仿成功的样子；随机噪声是保护必须胜过的对照"
    ),
    "Pictures from each set": "每组生成的图片数",
    "What the imitator gets": "模仿者得到的结果",
    "Pictures in one column start from the same seed.": "同一列的图片使用相同的随机种子。",
    "Download everything (ZIP)": "全部下载（ZIP）",
    "Download the finished pictures (ZIP)": "下载已完成的图片（ZIP）",
    "1. How the photos are cleaned": "1. 照片如何被清洗",
    "An imitator may clean the photos before training. Each cleaning is a trial of its own.": (
        "模仿者可能在训练前清洗照片。每种清洗都是一次单独的试验。"
    ),
    "Cleanings": "清洗方式",
    "Trains on the clean, the random-noise and the protected photos after each cleaning.": (
        "每种清洗之后，分别在原图、随机噪声和受保护的照片上训练。"
    ),
    "The same for every cleaning": "所有清洗使用同一种微调方式",
    "Seeds": "随机种子数",
    "Repeats everything; gives 95% intervals": "重复整个试验，给出 95% 区间",
    "Test the protection": "测试保护效果",
    "What is left": "剩余效果",
    "Effect: how much less the imitator learned than from random noise of the same budget.": (
        "效果：与相同上限的随机噪声相比，模仿者少学到了多少。"
    ),
    "Download the report (ZIP)": "下载报告（ZIP）",
    "Copy a link to these settings": "复制包含这些设置的链接",
}


def key_of(text: str) -> str:
    """The key of a text: letters and digits alone, because a dot would mean nesting."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")


def translations() -> gr.I18n:
    """What `launch` takes."""
    english, chinese = {key_of(text): text for text in ZH}, {key_of(text): ZH[text] for text in ZH}
    return gr.I18n(en=english, zh=chinese, **{"zh-CN": chinese})


def word(text: str) -> str | gr.I18nData:
    """A text for a label, a button or a heading, in the visitor's language where it is known."""
    return gr.I18n()(key_of(text)) if text in ZH else text
