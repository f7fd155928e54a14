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
    "<b>How the imitator trains and samples decides a good deal.</b> By default an imitator of a small model preserves what it "
    "made of no prompt (prior preservation), and guidance then multiplies all that the photos taught, the change too. In our "
    "trials without it the clean pictures were softer and the protected ones lost detail only, while shape and colour stayed.",
    "<b>Cleaning can undo it.</b> JPEG, resizing, denoising and diffusion purification weaken perturbations of this "
    'kind; the first author of the method showed so later (<a href="https://arxiv.org/abs/2312.00084" target="_blank" '
    'rel="noopener">arXiv&nbsp;2312.00084</a>). The tab Robustness measures it for your photos.',
    "<b>Unprotected copies undo it.</b> An imitator who also has your clean photos, from before or from elsewhere, needs "
    "no others.",
    "<b>Only PNG keeps it.</b> A site that recompresses what you upload changes the perturbation as well.",
    "<b>EUDP's schedule is our reading, and one term is our addition.</b> The authors published neither code nor the formula "
    "by which timesteps are drawn. Ours draws them in proportion to the factor by which the noise schedule scales the "
    "picture, and it also moves each photo away from what the model's encoder made of it. An encoder weight of 0 leaves that out.",
    "<b>On a model of pixels it did not beat random noise.</b> In our trial such a model, which has no encoder as Stable "
    "Diffusion has one, learned no less from protected pictures than from noisy ones.",
    "<b>What you see is one trial on a small model.</b> The embedded model has 128 pixels. A verdict here says what "
    "happened on it, not what will happen elsewhere. Random noise of the same budget is tried beside it, unless you leave it out.",
)

PRIVACY = (
    "Photos stay in a folder of your own on the server and are deleted {minutes} after you close the page. A reload finds "
    "a running or finished job again, through the link and a secret that your browser keeps; the link alone shows nobody "
    "anything. No history is kept, no statistics are collected, and no other server is asked for anything. The location "
    "and camera data of your photos (EXIF) are not copied into the protected files."
)


STEPS_ZH = (
    ("您的照片", "加上改动，每个像素都不超过扰动上限"),
    ("模型的副本学习它们", "训练几步：它的去噪损失下降"),
    ("调整扰动", "在像素上走几步梯度：去噪损失上升"),
    ("受保护的照片", "在上限之内取整为 8 位，存为 PNG"),
)

LIMITS_ZH = (
    "<b>它提高模仿的代价，但不是保证。</b>扰动是针对一个模型做的。换一个模型、训练更久，或用以后出现的方法，仍可能从中学到东西。",
    "<b>模仿者如何训练和采样，影响很大。</b>默认情况下，小模型的模仿者会保留模型在没有提示词时所生成的内容（先验保留），引导于是会成倍放大照片所教的一切，"
    "改动也在其中。在我们不用先验保留的试验中，原图一组的图片更柔和，受保护的一组只丢失细节，形状和颜色仍在。",
    "<b>净化可以使它失效。</b>JPEG、缩放、去噪和扩散净化都会削弱这类扰动；该方法的第一作者后来也证明了这一点（"
    '<a href="https://arxiv.org/abs/2312.00084" target="_blank" rel="noopener">arXiv&nbsp;2312.00084</a>）。'
    "“稳健性”标签页会针对您的照片进行测量。",
    "<b>未受保护的副本会使它失效。</b>如果模仿者还有您的原图（以前的，或从别处得到的），就不需要受保护的照片了。",
    "<b>只有 PNG 能保留它。</b>会重新压缩上传图片的网站，也会改变扰动。",
    "<b>EUDP 的时间步分布是我们的理解，另有一项是我们的补充。</b>作者既没有公布代码，也没有公布选取时间步的公式。我们按噪声调度对图片的缩放系数成"
    "比例地选取，并且还让每张照片在模型编码器中的表示远离原图。把编码器权重设为 0，即可去掉这一项。",
    "<b>在像素模型上，它没有胜过随机噪声。</b>这类模型不像 Stable Diffusion 那样有编码器；在我们的试验中，它从受保护的图片中学到的，并不比从加随机"
    "噪声的图片中少。",
    "<b>您看到的是在一个小模型上的一次试验。</b>内置模型的分辨率为 128 像素。这里的结论只说明在它上面发生了什么，不代表别处也会如此。"
    "除非您将其去掉，否则每次都会同时试验相同上限的随机噪声。",
)

PRIVACY_ZH = (
    "照片存放在服务器上您自己的文件夹里，关闭页面 {minutes} 分钟后删除。重新加载页面时，凭链接和您的浏览器保存的密钥可以找回正在运行或已完成的任务；"
    "仅凭链接，谁也看不到任何内容。不保留历史记录，不收集统计数据，也不向其他服务器请求任何内容。照片的位置和相机信息（EXIF）不会写入受保护的文件。"
)

HEADS = ("How it works", "The method in four steps", "What it is worth", "Your photos", "Cite")
HEADS_ZH = ("工作原理", "方法的四个步骤", "它有多大用处", "您的照片", "引用")
AGAIN = """The second and third step take turns for several rounds, so that the photos stay hard to learn however the
model adapts. <b>UDP</b> treats all noise levels alike; <b>EUDP</b> spends more on those where the photo still
shows through the noise."""
AGAIN_ZH = """第二步和第三步交替进行若干轮，使照片在模型适应之后仍然难学。<b>UDP</b> 对所有噪声水平一视同仁；<b>EUDP</b>
则更多地用在照片仍能透过噪声显现的那些水平上。"""
PAPER = '<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>'
SOURCE = f"This app is an independent implementation of\n{PAPER}. Please cite the paper:"
SOURCE_ZH = f"本应用是 {PAPER} 的独立实现。请引用该论文："


def about(keep_minutes: float) -> str:
    """The page as HTML; `keep_minutes` is how long a visitor's files stay after their page is closed."""
    english = PRIVACY.format(minutes=f"{keep_minutes:g} minute{'' if keep_minutes == 1 else 's'}")
    chinese = PRIVACY_ZH.format(minutes=f"{keep_minutes:g}")
    return (
        f'<div class="in-en">{_page(HEADS, STEPS, AGAIN, LIMITS, english, SOURCE)}</div>'
        f'<div class="in-zh" lang="zh">{_page(HEADS_ZH, STEPS_ZH, AGAIN_ZH, LIMITS_ZH, chinese, SOURCE_ZH)}</div>'
    )


def _page(
    heads: tuple[str, ...],
    steps: tuple[tuple[str, str], ...],
    again: str,
    limits: tuple[str, ...],
    privacy: str,
    source: str,
) -> str:
    how, four, worth, photos, cite = heads
    boxes = "".join(f"<li><b>{title}</b><span>{text}</span></li>" for title, text in steps)
    points = "".join(f"<li>{text}</li>" for text in limits)
    return f"""<div class="about">
<h2>{how}</h2>
<ol class="steps" aria-label="{four}">{boxes}</ol>
<p class="again">{again}</p>
<h2>{worth}</h2>
<ul>{points}</ul>
<h2>{photos}</h2>
<p>{privacy}</p>
<h2>{cite}</h2>
<p>{source}</p>
<pre tabindex="0" aria-label="BibTeX">{CITATION}</pre>
</div>"""
