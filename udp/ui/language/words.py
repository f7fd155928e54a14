"""The page's words in English and Chinese; the browser's language decides.

The English text is the source; a text without a translation is shown in English. Texts that are made while work runs
are in `udp.ui.language.phrases`, the page About in `udp.ui.tabs.about`. Errors and the advanced settings are English only.
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
<p class="lead">给照片加上微小而有上限的扰动，让在这些照片上微调的扩散模型学到的更少。然后扮演模仿者，看看效果究竟如何。</p>
<p class="fine"><b>不作保证：</b>它能妨碍模仿，但无法杜绝。换用其他模型、更长的训练、JPEG 压缩、缩放或去噪都可能削弱它；已经在网上的照片不会改变。
<b>隐私：</b>只有这个标签页能看到您的照片；关闭几分钟后，照片即从服务器删除。方法：UDP 与 EUDP，
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>。</p>""",
    # everywhere
    "Protect": "保护",
    "Attack": "攻击",
    "Robustness": "稳健性",
    "About": "说明",
    "Stop": "停止",
    "Advanced": "高级设置",
    "Photos": "照片",
    "Steps": "步数",
    "Training steps": "训练步数",
    "Before fine-tuning": "微调之前",
    "Clean": "原图",
    "Random noise": "随机噪声",
    "Protected": "受保护",
    # Protect
    "1. Your photos": "1. 您的照片",
    "Up to 16 of one subject, or of one style. No photos at hand? Try ours.": (
        "同一主体或同一风格的照片，最多 16 张。手边没有照片？试试我们的示例。"
    ),
    "Try the example subject": "试用示例主体",
    "Try the example style": "试用示例风格",
    "2. Protection": "2. 保护方式",
    "The defaults are a good start.": "使用默认设置即可开始。",
    "Strength": "强度",
    "Light": "弱",
    "Medium": "中",
    "Strong": "强",
    "Sets the budget below. More protects more, and shows more": "决定下方的扰动上限。越强，保护越多，也越容易看出来",
    "Method": "方法",
    "Random noise is the control: a protection has to beat it": "随机噪声是对照组：有效的保护必须胜过它",
    "EUDP (timesteps weighted by the noise scheduler)": "EUDP（按噪声调度加权选取时间步）",
    "UDP (uniform timesteps)": "UDP（均匀选取时间步）",
    "EUDP with a shared target (our addition)": "EUDP，共同目标（我们的补充）",
    "AdvDM (no surrogate)": "AdvDM（无代理模型）",
    "FSMG (surrogate trained on the clean photos)": "FSMG（代理模型在原图上训练）",
    "SimAC (ASPL with greedily chosen timesteps)": "SimAC（ASPL，贪心选取时间步）",
    "SDS (score distillation, no U-Net gradient)": "SDS（分数蒸馏，不经过 U-Net 的梯度）",
    "Mist (textural, semantic or both)": "Mist（纹理、语义或两者兼用）",
    "PhotoGuard (encoder attack)": "PhotoGuard（攻击编码器）",
    "Random noise (control)": "随机噪声（对照）",
    "Budget": "扰动上限",
    "Largest change of any pixel (L-infinity), in levels of 255": "每个像素的最大改动（L∞），以 1/255 为单位",
    "Loss (running mean)": "损失（滑动平均）",
    "Protected photos": "受保护的照片",
    "Choose a photo and drag the handle to compare. A larger budget protects more and shows more.": (
        "选择一张照片，拖动滑块进行比较。扰动上限越大，保护越强，也越明显。"
    ),
    "Before and after": "保护前后对比",
    "Perturbation on gray": "灰底上的扰动",
    "Side by side, without dragging": "并排对比（无需拖动）",
    "Before": "保护前",
    "After": "保护后",
    "Download PNGs and settings (ZIP)": "下载 PNG 与设置（ZIP）",
    "Attack these photos": "攻击这些照片",
    # Attack
    "1. Photos": "1. 照片",
    "What the imitator gets hold of: your photos as they were, and as you protected them.": (
        "模仿者得到的照片：未经保护的原图，以及受保护的版本。"
    ),
    "Use my own clean and protected photos": "使用我自己的原图和受保护的照片",
    "Clean photos": "原图",
    "The same photos, protected": "同样的照片（已保护）",
    "2. The imitator": "2. 模仿者",
    "Fine-tunes one copy of the model on each set of photos, everything else equal.": (
        "在每组照片上各微调一份模型，其余条件完全相同。"
    ),
    "Recipe": "微调方式",
    "LoRA is what most people use; DreamBooth changes every weight and learns more": (
        "LoRA 最常用；DreamBooth 改动全部权重，学到的更多"
    ),
    "LoRA (adapters)": "LoRA（适配器）",
    "DreamBooth (all weights)": "DreamBooth（全部权重）",
    "Textual inversion (one word)": "文本反演（一个词）",
    "Sets to compare": "参与比较的组",
    "Clean photos show what success looks like; random noise is what the protection has to beat": (
        "原图显示模仿成功时的样子；随机噪声是保护必须胜过的对照"
    ),
    "Pictures from each set": "每组生成的图片数",
    "Training loss (running mean), each set on its own photos": "训练损失（滑动平均），各组在自己的照片上",
    "What the imitator gets": "模仿者得到的结果",
    "Pictures in one column start from the same seed.": "同一列的图片使用相同的随机种子。",
    "Download everything (ZIP)": "全部下载（ZIP）",
    "Download the finished pictures (ZIP)": "下载已完成的图片（ZIP）",
    # Robustness
    "1. How the photos are cleaned": "1. 照片如何净化",
    "An imitator may clean the photos before training. Each cleaning is a trial of its own.": (
        "模仿者可能在训练前先净化照片。每种净化方式单独试验一次。"
    ),
    "Cleanings": "净化方式",
    "Up to 6, beside training on the photos as they are": "最多 6 种；此外总会在未经净化的照片上训练一次",
    "Trains on the clean, the random-noise and the protected photos after each cleaning.": (
        "每种净化之后，分别在原图、加随机噪声的照片和受保护的照片上训练。"
    ),
    "The same for every cleaning": "所有净化方式使用同一种微调方式",
    "Seeds": "随机种子数",
    "Repeats everything; gives 95% intervals": "重复整个试验，给出 95% 置信区间",
    "Test the protection": "检验保护效果",
    "What is left": "剩余效果",
    "Effect: how much less the imitator learned than from random noise of the same budget.": (
        "效果：与相同上限的随机噪声相比，模仿者少学到了多少。"
    ),
    "Pictures by cleaning": "各净化方式下的图片",
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
    """A text for a label, a button or a heading, in the visitor's language where it is known.

    As a part of a longer text, it has to be the only one: the browser translates one text a piece.
    """
    return gr.I18n()(key_of(text)) if text in ZH else text
