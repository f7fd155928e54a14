"""What the page says while and after work runs, in English and Chinese.

The browser translates one text a piece, and only texts without figures in them. So these go out in both languages, and
a style hides one of them (`LANGUAGE`). A text that is not here goes out in English alone. A plot has no room for two
languages: there the one that the browser asks for first decides (`speech`).
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable

from udp.evaluation import verdict as verdicts

# For the page's head: gradio puts the app's own style sheet below a class, out of reach of one on the whole page.
LANGUAGE = """<script>
if ((navigator.language || '').toLowerCase().startsWith('zh')) document.documentElement.classList.add('chinese');
</script>
<style>
.in-zh, .chinese .in-en { display: none; }
.chinese .in-zh { display: inline; } .chinese div.in-zh { display: block; }
.gradio-container .in-en, .gradio-container .in-zh { color: inherit; }
</style>"""

PHRASES = {
    # progress
    "Starting": "正在启动",
    "Waiting in line": "排队中",
    "Loading the model": "正在加载模型",
    "Training the surrogate": "正在训练代理模型",
    "Perturbing the photos": "正在优化扰动",
    "Choosing timesteps": "正在选择时间步",
    "Drawing noise": "正在生成随机噪声",
    "Fine-tuning": "正在微调",
    "Generating": "正在生成图片",
    "Finished": "已完成",
    "Measuring and saving": "正在测量并保存",
    "estimating the time left": "正在估计剩余时间",
    "almost done": "即将完成",
    # plots
    "Step": "步数",
    "Loss": "损失",
    "Set": "组别",
    "Phase": "阶段",
    "Surrogate learns": "代理模型学习",
    "Photos perturbed": "优化扰动",
    # messages
    "Stopping.": "正在停止。",
    "Stopped. Earlier results, if any, are kept.": "已停止。此前的结果（如有）仍然保留。",
    "Stopped. What was finished is kept.": "已停止。已完成的部分仍然保留。",
    "Done.": "已完成。",
    "No estimate before the first run with this model here; the bar shows one after a few steps.": (
        "该模型在此处尚未运行过，暂无估计；开始几步之后，进度条会显示剩余时间。"
    ),
    "Nothing is protected in this session yet. Start on the tab Protect, with your photos or an example.": (
        "本次会话还没有受保护的照片。请先在“保护”标签页使用您的照片或示例。"
    ),
    # sets
    "Before fine-tuning": "微调之前",
    "Clean": "原图",
    "Random noise": "随机噪声",
    "Protected": "受保护",
    # tables
    "How visible the change is (higher PSNR and SSIM: less visible)": "扰动有多明显（PSNR 与 SSIM 越高，越不明显）",
    "Photo": "照片",
    "Largest change, of 255": "最大改动（0–255 级）",
    "PSNR, dB": "PSNR（dB）",
    "Notes": "备注",
    "Figures": "指标",
    "Figure": "指标",
    "Before": "微调前",
    "Loss on the clean photos": "原图上的去噪损失",
    "Lower: the model knows the real subject better. What the verdict uses.": "越低，模型对真实主体越熟悉。结论以此为据。",
    "Similarity to the clean photos": "与原图的相似度",
    "1: the same picture. 0: no nearer than before fine-tuning.": "1：同一张图片。0：不比微调前更接近。",
    "Diversity": "多样性",
    "Mean distance between the pictures of a row. 0: all the same.": "同组图片之间的平均距离。0：全都相同。",
    "Texture off by, dB": "纹理偏差（dB）",
    "How far the texture is from the clean photos'. 0: the same.": "与原图纹理的差距。0：相同。",
    "FID": "FID",
    "Distance of the two sets in the base model's features. 0: alike. Rough for few pictures.": (
        "两组图片在基础模型特征空间中的距离。0：相同。图片很少时只是粗略值。"
    ),
    "KID": "KID",
    "CLIP image similarity": "CLIP 图像相似度",
    "To the clean photos, by CLIP. 1: the same.": "由 CLIP 计算的与原图的相似度。1：相同。",
    "DINOv2 image similarity": "DINOv2 图像相似度",
    "To the clean photos, by DINOv2. 1: the same.": "由 DINOv2 计算的与原图的相似度。1：相同。",
    "Agreement with the prompt": "与提示词的一致性",
    "Of the pictures with the prompt, by CLIP. Higher: closer.": "由 CLIP 计算的图片与提示词的一致程度。越高越接近。",
    "The same by another measure, which few pictures bias less.": "另一种度量，图片较少时偏差更小。",
    "Precision": "精确率",
    "Quality: the share of the pictures that lie among the clean photos.": "质量：落在原图范围内的生成图片所占比例。",
    "Recall": "召回率",
    "Diversity: the share of the clean photos that lie among the pictures.": "多样性：落在生成图片范围内的原图所占比例。",
    "Stripes or other pattern, dB": "条纹或其他周期性图案（dB）",
    "Beyond the pictures from clean photos. Some dB are chance.": "超出原图组图片的部分。几个 dB 可能只是偶然。",
    "Blur": "模糊度",
    "Higher: softer.": "越高越模糊。",
    "Noise in the pictures": "图片中的噪声",
    "Estimated noise, in levels of 255. Higher: grainier.": "估计的噪声（0–255 级）。越高颗粒感越强。",
    "Final training loss": "最终训练损失",
    "Mean of the last fifth, on the photos of that row.": "最后五分之一步数的平均值，在该组照片上计算。",
    "Weight change": "权重变化",
    "How far the weights moved. 0 would mean nothing was learned.": "权重移动的幅度。0 表示什么也没学到。",
    # verdicts
    "One trial, one model, one recipe. Learned means: how far the loss on the clean photos fell, compared with "
    "fine-tuning on them.": (
        "仅一次试验、一个模型、一种微调方式。“学到”指：原图上的去噪损失下降了多少，以直接在原图上微调的下降幅度为 100%。"
    ),
    verdicts.RULE: (
        f"“学到”指原图上去噪损失的下降幅度与原图组下降幅度之比。无法判定：原图组的损失下降不足 {verdicts.LEAST_LESSON:.0%}、缺少对照组，"
        f"或各随机种子的结果不一致。崩溃：学到不足 {verdicts.COLLAPSE_LEARNED:.0%}，且图片纹理与真实照片的差距比两个对照组中较差的一个至少大 "
        f"{verdicts.LEAST_EXCESS_DB:g} dB；或学到不足 {verdicts.COLLAPSE_HALF:.0%} 且至少大 {verdicts.COLLAPSE_EXCESS_DB:g} dB：必须从图片上"
        f"也看得出来，而不只是损失。削弱：比相同上限的随机噪声至少少学到 {verdicts.LEAST_EFFECT:.0%}，或纹理至少差 "
        f"{verdicts.LEAST_EXCESS_DB:g} dB。其余为无效。有多个随机种子时，它们的 95% 区间（学生 t 分布）须大于零。这些阈值是本工具的约定。"
    ),
    "Effect kept is the share of the effect without cleaning; a dash: there was none to keep.": (
        "“保留的效果”是与不净化时的效果之比；短横线表示本来就没有效果可保留。"
    ),
    "Collapsed: the imitation failed in this trial": "崩溃：模仿在这次试验中失败",
    "Degraded: the protection hindered the imitator but did not stop it": "削弱：保护妨碍了模仿者，但没有阻止",
    "No effect: the protection did not beat random noise of the same budget": "无效：保护没有胜过相同上限的随机噪声",
    "Inconclusive: the seeds disagree": "无法判定：各随机种子的结果不一致",
    "Inconclusive: a clean, a random-noise and a protected arm are needed.": "无法判定：需要原图、随机噪声和受保护三组。",
    "One seed: an example, not evidence.": "仅一个随机种子：这是例子，不是证据。",
}

AMOUNT = r"(-?\d+%(?: \(-?\d+% to -?\d+%\))?|less than nothing \([^)]*\))"
PATTERNS: tuple[tuple[str, str | Callable[[re.Match[str]], str | None]], ...] = (
    (r"(Before fine-tuning|Clean|Random noise|Protected): (.+)", lambda m: _joined("：", m[1], _upper(m[2]))),
    (r"(\S+) to (\S+)", r"\1 至 \2"),
    (r"Left out: (.+)", r"未处理：\1"),
    (r"about ([\d.]+) s left", r"约剩 \1 秒"),
    (r"about ([\d.]+) min left", r"约剩 \1 分钟"),
    (r"about ([\d.]+) h left", r"约剩 \1 小时"),
    (r"(\d+) runs? before yours", r"前面还有 \1 个任务"),
    (r"Done: (\d+) photos? protected, every pixel within its budget\.", r"完成：\1 张照片已受保护，每个像素的改动都不超过上限。"),
    (r"Takes about (.+), going by the last runs here\.", lambda m: f"根据最近的运行，大约需要 {_duration(m[1])}。"),
    (r"Takes about (.+) on two processor cores: a first guess\.", lambda m: f"在两个处理器核心上大约需要 {_duration(m[1])}（初步估计）。"),
    (r"Using your own sets: (\d+) clean and (\d+) protected\.", r"使用您自己的两组照片：原图 \1 张，受保护 \2 张。"),
    (r"Using the (?:example (?:subject|style)) protected in this session: (.+), budget (.+)\.", r"使用本次会话中受保护的示例：\1，扰动上限 \2。"),
    (r"Using the photo protected in this session: (.+), budget (.+)\.", r"使用本次会话中受保护的 1 张照片：\1，扰动上限 \2。"),
    (r"Using the (\d+) photos protected in this session: (.+), budget (.+)\.", r"使用本次会话中受保护的 \1 张照片：\2，扰动上限 \3。"),
    (r"Inconclusive: clean arm failed to learn the subject \(its loss on these photos (fell|rose) by (\S+); train longer or "
     r"choose another model\)\.",
     lambda m: f"无法判定：原图组没有学会主体（它在这些照片上的去噪损失{'下降' if m[1] == 'fell' else '上升'}了 {m[2]}；请延长训练或换一个模型）。"),
    (r"((?:Collapsed|Degraded|No effect|Inconclusive): [^.]+)\. The imitator learned " + AMOUNT + r" of what the clean photos teach, "
     r"with random noise " + AMOUNT + r"; the texture of its pictures is (.+)\. (One seed: an example, not evidence\.|\d+ seeds\.)",
     lambda m: _verdict(m)),
    # what the figures rest on
    (r"(\d+) pictures a run and arm against (\d+) clean photos\. Similarity, diversity, FID, KID, precision and recall: "
     r"features of the base model's \((.+)\) U-Net, middle block at t = 100, pooled to 2 x 2, (\d+) numbers; they do not "
     r"compare with Inception figures\. Texture: wavelets, no network\. Pattern: power spectra of the luminance, no network, "
     r"\d+ pairs of pictures of one seed, the arm's and the clean arm's; without any pattern it is not 0 but some dB\. "
     r"Intervals of one run: 95% bootstrap over its pictures; of several runs: 95% Student t over them\.( .+)?",
     lambda m: f"每次运行每组 {m[1]} 张图片，与 {m[2]} 张原图比较。相似度、多样性、FID、KID、精确率与召回率：取自基础模型（{m[3]}）U-Net "
     f"中间层在 t = 100 时的特征，池化为 2 x 2，共 {m[4]} 个数；不能与基于 Inception 的数值相比。纹理：小波，不用网络。周期性图案：亮度功率谱，"
     f"不用网络，该组与原图组同一种子的 {m[1]} 对图片；即使没有图案，也不为 0，而有几个 dB。单次运行的区间：对图片作 95% 自助法；"
     f"多次运行：95% 学生 t 分布。{m[5] or ''}"),
    # what is odd about a visitor's own sets
    (r"(\d+) of (\d+) protected photos \((.+)\) are not the size of their clean photos: resized, or of another set\?",
     lambda m: f"{m[2]} 张受保护的照片中有 {m[1]} 张的尺寸与其原图不同（{m[3].replace(', clean ', '，原图 ')}）：被缩放过，或来自另一组照片？"),
    (r"(\d+) of (\d+) protected photos \((.+)\) are further than (\S+) from their clean photos: saved again as JPEG, or of "
     r"another set\?", r"\2 张受保护的照片中有 \1 张与其原图的差别超过 \4（\3）：被重新存为 JPEG，或来自另一组照片？"),
    (r"(\d+) of (\d+) protected photos \((.+)\) are the same as their clean photos, pixel by pixel: nothing protects them\.",
     r"\2 张受保护的照片中有 \1 张与其原图逐像素相同（\3）：没有任何保护。"),
)  # fmt: skip


def chinese(english: str) -> str | None:
    """The same in Chinese, None if it is not known."""
    if english in PHRASES:
        return PHRASES[english]
    for pattern, translation in PATTERNS:
        if found := re.fullmatch(pattern, english):
            return found.expand(translation) if isinstance(translation, str) else translation(found)
    return None


def spoken(english: str) -> str:
    """A text of the page as HTML, in both languages if it is known in both."""
    translated = chinese(english)
    if translated is None:
        return html.escape(english)
    return f'<span class="in-en">{html.escape(english)}</span><span class="in-zh" lang="zh">{html.escape(translated)}</span>'


def speech(accept_language: str) -> Callable[[str], str]:
    """What puts a text into the language that an Accept-Language header names first, or leaves it in English."""
    return (lambda text: chinese(text) or text) if accept_language.lower().startswith("zh") else str


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _joined(by: str, *parts: str) -> str | None:
    found = [chinese(part) for part in parts]
    return None if None in found else by.join(found)


def _duration(text: str) -> str:
    number, unit = text.split(" ")
    return f"{number} {({'s': '秒', 'min': '分钟', 'h': '小时'})[unit]}"


def _amount(text: str) -> str:
    text = text.replace("less than nothing (", "不足零（").replace(" to ", " 至 ")
    return text.replace(")", "）") if "（" in text else text


def _verdict(found: re.Match[str]) -> str | None:
    said, learned, random, texture, scope = found.groups()
    word = chinese(said)
    if word is None:
        return None
    seeds = chinese(scope) or f"{scope.split(' ')[0]} 个随机种子。"
    return (
        f"{word}。以原图所教的为 100%，模仿者从受保护的照片学到 {_amount(learned)}，从加随机噪声的照片学到 "
        f"{_amount(random)}；与两个对照组中较差的一个相比，其图片纹理{_texture(texture)}。{seeds}"
    )


def _texture(text: str) -> str:
    """How far from the real photos, with its interval where there is one."""
    mean, _, interval = text.partition(" (from ")
    if interval:
        low, high = (_distance(end) for end in interval.removesuffix(")").split(" to "))
        return f"{_distance(mean)}（{low}至{high}）"
    return _distance(mean)


def _distance(text: str) -> str:
    if text.startswith("as far"):
        return "与真实照片的差距相同"
    return f"{'离真实照片远' if ' further' in text else '离真实照片近'} {text.split(' ')[0]} dB"
