"""Chinese: what the page says, titles included."""

from __future__ import annotations

from typing import Any

from udp.language.base import Entry, Language
from udp.language.english import ENGLISH


def _share(share: Any) -> str:
    """An interval of shares."""
    if share.low is None:
        return f"{share.mean:z.0%}"
    return f"{share.mean:z.0%}（{share.low:z.0%} 至 {share.high:z.0%}）"


def _lesson(share: Any) -> str:
    """What an arm learned; a negative share is no lesson of any size."""
    shown = _share(share)
    return f"不足零（{shown.replace('（', '，').removesuffix('）')}）" if shown.startswith("-") else shown


def _texture(excess: Any) -> str:
    """How far the pictures are from the real photos, with the interval where there is one."""
    words = "与真实照片的差距相同" if f"{excess.mean:z.1f}" == "0.0" else _distance(excess.mean)
    return words if excess.low is None else f"{words}（{_distance(excess.low)}至{_distance(excess.high)}）"


def _distance(decibels: float) -> str:
    return f"{'离真实照片远' if decibels > 0 else '离真实照片近'} {abs(decibels):.1f} dB"


def _pictures(excess: Any, likeness: Any) -> str:
    """How the pictures look beside the worse control's, by texture, by likeness or by both."""
    texture = [f"纹理{_texture(excess)}"] if excess else []
    return "，".join([*texture, *([f"与照片的相似程度为其 {_lesson(likeness)}"] if likeness else [])])


TEXTS: dict[str, Entry] = {
    # the page
    "page.welcome": """<h1>不可学习的照片</h1>
<p class="lead">让图像 AI 更难模仿您的照片：给每个像素加上微小的改动，再训练一个模仿者，看看它学到了什么。</p>""",
    "page.promise": """<p><b>不作保证：</b>它能妨碍模仿，但无法杜绝。换用其他模型、更长的训练、JPEG 压缩、缩放或去噪都可能削弱它；已经在网上的照片不会改变。
<b>隐私：</b>只有这个标签页能看到您的照片；关闭几分钟后，照片即从服务器删除。方法：UDP 与 EUDP，
<a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902</a>。</p>""",
    "tab.example": "示例",
    "tab.protect": "保护",
    "tab.attack": "攻击",
    "tab.robustness": "稳健性",
    "tab.about": "说明",
    "page.stop": "停止",
    "page.advanced": "高级设置",
    "page.copy_link": "复制包含这些设置的链接",
    "example.subject": "试用示例主体",
    "example.style": "试用示例风格",
    "example.person": "试用手绘人物",
    # the tab Example
    "kept.slider": "照片 | 受保护的照片",
    "kept.arms": "模仿者用这些照片得到什么",
    "kept.clean": "原照片",
    "kept.random": "加了随机噪声",
    "kept.protected": "受保护的照片",
    "kept.alt": "模仿者得到的图片：{caption}，种子 {seed}",
    "kept.learned": lambda made, protected, random: (
        f"用受保护的照片学到原照片所含内容的 {_lesson(protected)}，用随机噪声则为 {_lesson(random)}。这是 {made} 在本页小模型上的一次运行：仅为示例，不是证据。"
    ),
    "kept.enlarge": "放大：{alt}",
    "kept.close": "关闭",
    "kept.style_stays": "学到的少了，但肉眼看来，每张图片都认得出这种风格。",
    "kept.made": "这是 {made} 在本页小模型上的一次运行：仅为示例，不是证据。",
    "kept.live": "亲自实时运行",
    "kept.own": "保护我自己的照片",
    "kept.choice": "展示哪个示例",
    "kept.subject": "一个物体",
    "kept.style": "一种风格",
    # the tab Protect
    "protect.photos": "1. 您的照片",
    "protect.photos.help": "同一主体或同一风格的照片，最多 {most} 张。手边没有照片？试试我们的示例。",
    "protect.upload": "照片",
    "protect.settings": "2. 保护方式",
    "protect.settings.help": "使用默认设置即可开始。",
    "protect.strength": "强度",
    "protect.strength.help": "决定下方的扰动上限。越强，保护越多，也越容易看出来",
    "strength.light": "弱",
    "strength.medium": "中",
    "strength.strong": "强",
    "protect.method": "方法",
    "protect.method.help": "随机噪声是对照组：有效的保护必须胜过它",
    "protect.losses": "损失（滑动平均）",
    "protect.start": "保护",
    "protect.done": "完成：{count} 张照片已受保护，每个像素的改动都不超过上限。",
    "protect.results": "受保护的照片",
    "protect.results.help": "选择一张照片，拖动滑块进行比较。扰动上限越大，保护越强，也越明显。",
    "protect.slider": "保护前后对比",
    "protect.perturbation": "灰底上的扰动",
    "protect.still": "并排对比（无需拖动）",
    "protect.before": "保护前",
    "protect.after": "保护后",
    "protect.download": "下载 PNG 与设置（ZIP）",
    # which models a set was made against
    "hub.title": "保存到我的 Hugging Face 账号（可选）",
    "hub.help": "把受保护的 PNG 及其设置发送到您的一个私有数据集，不发送原图或其他内容。不按此按钮，任何内容都不会离开本服务器。",
    "hub.token": "访问令牌",
    "hub.token.help": "需有写入数据集的权限；只用一次，不会保留",
    "hub.name": "数据集名称",
    "hub.save": "保存为私有数据集",
    "hub.saved": "已保存，仅您可见：",
    "reach.nothing": "随机噪声不针对任何模型：它是保护方法必须胜过的对照。",
    "reach.model": "针对的模型：{model}。",
    "reach.latents": (
        "还针对 Stable Diffusion 1.x 在 {sides} 像素下的潜变量，通过其编码器的小型复制品；据我们测量，位移仅略大于随机噪声。"
    ),
    "reach.sides": "还针对 {sides} 像素。",
    "reach.encoders": "还针对以下模型已发布的自编码器：{names}。",
    "reach.others": "没有针对 {models}：在那里效果可能不超过随机噪声。",
    "reach.rest": "没有针对其他任何模型：在那里效果可能不超过随机噪声。",
    "reach.style": (
        "它遮不住风格：在我们用六幅剪纸风景所做的试验中（8/255，DreamBooth），每张模仿图片都认得出这种风格。"
    ),
    "reach.keep": "JPEG 和缩放会削弱它，“稳健性”标签页可测出削弱多少。请原样保存 PNG。",
    "protect.attack": "下一步：看看模仿者得到什么",
    # the tab Attack
    "attack.photos": "1. 照片",
    "attack.photos.help": "模仿者得到的照片：未经保护的原图，以及受保护的版本。",
    "attack.own": "使用我自己的原图和受保护的照片",
    "attack.clean": "原图",
    "attack.protected": "同样的照片（已保护）",
    "attack.imitator": "2. 模仿者",
    "attack.imitator.help": "在每组照片上各微调一份模型，其余条件完全相同。",
    "attack.recipe": "微调方式",
    "attack.recipe.help": "LoRA 最常用，DreamBooth 学到的更多；最后两种专门对付保护",
    "attack.sets": "参与比较的组",
    "attack.sets.help": "原图显示模仿成功时的样子；随机噪声是保护必须胜过的对照",
    "attack.pictures": "每组生成的图片数",
    "attack.losses": "训练损失（滑动平均），各组在自己的照片上",
    "attack.start": "攻击",
    "attack.results": "模仿者得到的结果",
    "attack.results.help": "同一列的图片使用相同的随机种子。",
    "film.title": "一步一步学到了什么",
    "film.help": "用第一个种子、较少采样步数生成的图片；数字是训练步数。",
    "compare.title": "比较同一种子的两张图片",
    "compare.help": "拖动滑块。两张图片从同样的噪声开始；不同的只有模仿者拿到的照片。",
    "compare.left": "左",
    "compare.right": "右",
    "compare.picture": "图片",
    "compare.slider": "左 | 右",
    "attack.download": "全部下载（ZIP）",
    "attack.card": "下载结果卡片（PNG）",
    "attack.keep": "下载受保护的照片（ZIP）",
    "attack.cleaned": "下一步：它经得起清理吗？",
    "attack.download.partial": "下载已完成的图片（ZIP）",
    # the tab Robustness
    "robustness.cleanings": "1. 照片如何净化",
    "robustness.cleanings.help": "模仿者可能在训练前先净化照片。每种净化方式单独试验一次。",
    "robustness.choice": "净化方式",
    "robustness.choice.help": "最多 {most} 种；此外总会在未经净化的照片上训练一次",
    "robustness.imitator.help": "每种净化之后，分别在原图、加随机噪声的照片和受保护的照片上训练。",
    "robustness.recipe.help": "所有净化方式使用同一种微调方式",
    "robustness.seeds": "随机种子数",
    "robustness.seeds.help": "重复整个试验，给出 95% 置信区间",
    "robustness.start": "检验保护效果",
    "robustness.results": "剩余效果",
    "robustness.results.help": "效果：与相同上限的随机噪声相比，模仿者少学到了多少。",
    "robustness.grids": "各净化方式下的图片",
    "robustness.download": "下载报告（ZIP）",
    "robustness.caption": "每种净化之后模仿者学到了多少，以未净化的原图所教的为 100%",
    "robustness.cleaning": "净化方式",
    "robustness.learned": "学到：{arm}",
    "robustness.effect": "效果",
    "robustness.kept": "保留的效果",
    "robustness.verdict": "结论",
    "robustness.kept.help": "“保留的效果”是与不净化时的效果之比；短横线表示本来就没有效果可保留。结论以同样净化过的原图为准。",
    # while work runs
    "job.starting": "正在启动",
    "job.waiting": "排队中",
    "job.before": "前面还有 {count} 个任务",
    "job.stage": "{stage}",
    "job.stage.of": "{arm}：{stage}",
    "job.stage.arms": "同时进行 {count} 组：{stage}",
    "stage.loading_the_model": "正在加载模型",
    "stage.training_the_surrogate": "正在训练代理模型",
    "stage.perturbing_the_photos": "正在优化扰动",
    "stage.choosing_timesteps": "正在选择时间步",
    "stage.drawing_noise": "正在生成随机噪声",
    "stage.cleaning_the_photos": "正在净化照片",
    "stage.adapting_the_autoencoder": "正在适配自编码器",
    "stage.fine-tuning": "正在微调",
    "stage.generating": "正在生成图片",
    "stage.finished": "已完成",
    "stage.measuring_and_saving": "正在测量并保存",
    "left.unknown": "正在估计剩余时间",
    "left.none": "即将完成",
    "left.about": "约剩 {time}",
    "time.seconds": "{number} 秒",
    "time.minutes": "{number} 分钟",
    "time.hours": "{number} 小时",
    "pace.known": "根据最近的运行，大约需要 {time}。",
    "pace.guessed": "在两个处理器核心上大约需要 {time}（初步估计）。",
    "pace.unknown": "该模型在此处尚未运行过，暂无估计；开始几步之后，进度条会显示剩余时间。",
    "job.stopping": "正在停止。",
    "job.stopped": "已停止。此前的结果（如有）仍然保留。",
    "job.stopped.partly": "已停止。已完成的部分仍然保留。",
    "job.kept": "共 {total} 部分，已完成 {done} 部分，在此页面打开期间保留：用相同的设置再按“{button}”，即可继续其余部分。",
    "job.done": "已完成。",
    "plot.step": "步数",
    "plot.loss": "损失",
    "plot.set": "组别",
    "plot.phase": "阶段",
    "plot.surrogate": "代理模型学习",
    "plot.photos": "优化扰动",
    # what was done to a photo when it was read
    "note.metadata": "去除了损坏或过大的元数据",
    "note.frames": "只使用第一帧",
    "note.exif": "无法读取 EXIF 数据，照片方向可能不对",
    "note.upright": "已按 EXIF 方向转正",
    "note.srgb": "已从 {mode} 转换为 sRGB",
    "note.bits": "每通道已从 16 或 32 位降为 8 位",
    "note.gray": "灰度图，已存为 RGB",
    "note.palette": "调色板图像已展开为全彩",
    "note.profile": "颜色配置文件过大，无法写入 PNG，已转换为 sRGB",
    # why a file is left out
    "photos.left_out": "未处理：{reason}",
    "unreadable.absent": "应为图片文件，但 {name!r} 不存在",
    "unreadable.folder": "应为图片文件，但 {name!r} 是文件夹",
    "unreadable.other": "{name!r} 不是图片文件",
    "unreadable.raw": "{name!r} 是相机的原始文件（RAW），不是成品照片：请导出为 PNG",
    "unreadable.small": "{name!r} 至少应为 {side} x {side} 像素，实际为 {width} x {height}",
    "unreadable.large": "{name!r} 最多 {megapixels} 百万像素、每边 {side:,} 像素，实际为{found}：请缩小",
    "unreadable.pixels": " {width:,} x {height:,} 像素",
    "unreadable.far_more": "远超上限",
    "unreadable.content": "{name!r} 应为 PNG、JPEG、HEIC、WebP、AVIF、TIFF 或 BMP 照片，但无法读取：{reason}",
    "unreadable.changed": "{name!r} 在处理所在文件夹期间被更改或删除：请再次运行同一命令",
    "upload.broken_off": "上传中断，文件不完整：请重新上传",
    "upload.no_room": "服务器空间不足，无法接收上传：请稍后再试",
    "upload.no_form": "应为 multipart 表单中 `files` 字段的文件，收到的是其他内容",
    "unreadable.empty": "文件是空的",
    "unreadable.zeros": "文件内容全为零，请重新复制",
    "unreadable.pointer": "这是 Git LFS 指针，请运行 `git lfs pull`",
    "unreadable.notes": "这是 Mac 为另一个文件写的附注",
    "unreadable.damaged": "文件不完整或已损坏，请从原处重新复制（{error}）",
    "unreadable.text": "这是文本，例如以此文件名保存的网页或错误页面",
    "unreadable.unknown": "文件中没有这里认得的图片（{error}）",
    # which photos an attack uses
    "source.nothing": "本次会话还没有受保护的照片。请先在“保护”标签页使用您的照片或示例。",
    "source.own": "使用您自己的两组照片：原图 {clean} 张，受保护 {protected} 张。",
    "source.session": "使用本次会话中受保护的 {count} 张照片：{method}，扰动上限 {budget}/255。",
    "source.example": "使用本次会话中受保护的{name}：{method}，扰动上限 {budget}/255。",
    "source.example.subject": "示例主体",
    "source.example.style": "示例风格",
    "source.example.person": "示例人物",
    # 两组照片有何异常
    "pairs.kind.random": "加随机噪声",
    "pairs.kind.protected": "受保护",
    "pairs.size": ("{total} 张{kind}的照片中有 {count} 张的尺寸与其原图不同（{names}）：被缩放过，或来自另一组照片？"),
    "pairs.sizes": "{name} {now}，原图 {before}",
    "pairs.far": (
        "{total} 张{kind}的照片中有 {count} 张与其原图的差别超过 {most}/255（{names}）：被重新存为 JPEG，或来自另一组照片？"
    ),
    "pairs.same": "{total} 张{kind}的照片中有 {count} 张与其原图逐像素相同（{names}）：没有任何保护。",
    # 表格
    "visibility.caption": "扰动有多明显（PSNR 与 SSIM 越高，越不明显）",
    "visibility.photo": "照片",
    "visibility.change": "最大改动（0–255 级）",
    "visibility.psnr": "PSNR（dB）",
    "visibility.ssim": "SSIM",
    "visibility.notes": "备注",
    "figures.caption": "指标",
    "figures.figure": "指标",
    "figures.before": "微调前",
    "metric.in_unit": "{title}（{unit}）",
    "interval.share": lambda interval: _share(interval),
    "interval.ends": "{low} 至 {high}",
    # 结论
    "verdict.collapsed": "崩溃：模仿在这次试验中失败",
    "verdict.collapsed.word": "崩溃",
    "verdict.degraded": "削弱：保护妨碍了模仿者，但没有阻止",
    "verdict.degraded.word": "削弱",
    "verdict.only_haste": "只防得住匆忙的模仿者：训练更久的人学到的与相同上限的随机噪声无异",
    "verdict.only_haste.word": "只防得住匆忙",
    "verdict.no_effect": "无效：保护没有胜过相同上限的随机噪声",
    "verdict.no_effect.word": "无效",
    "verdict.seeds_disagree": "无法判定：各随机种子的结果不一致",
    "verdict.seeds_disagree.word": "无法判定：各随机种子的结果不一致",
    "verdict.not_learned": lambda lesson: (
        f"无法判定：原图组没有学会主体（它在这些照片上的去噪损失{'下降' if lesson >= 0 else '上升'}了 {abs(lesson):.0%}；"
        f"请延长训练或换一个模型）。"
    ),
    "verdict.not_learned.word": "无法判定：原图组没有学会主体",
    "verdict.no_control": "无法判定：需要原图、随机噪声和受保护三组。",
    "verdict.no_control.word": "无法判定：需要原图、随机噪声和受保护三组",
    "verdict.sentence": lambda claim, learned, random, excess, likeness, seeds: (
        f"{claim}。以原图所教的为 100%，模仿者从受保护的照片学到 {_lesson(learned)}，从加随机噪声的照片学到 {_lesson(random)}；"
        f"与两个对照组中较差的一个相比，其图片{_pictures(excess, likeness)}。"
        + ("仅一个随机种子：这是例子，不是证据。" if seeds < 2 else f"{seeds} 个随机种子。")
    ),
    "verdict.likeness.dinov2_image_similarity": "相似程度按 DINOv2 判定。",
    "verdict.likeness.structure_similarity": "相似程度按结构（与最接近照片的 SSIM）判定；不看纹理。",
    "verdict.likeness.shape_similarity": "相似程度按轮廓和颜色判定。",
    "verdict.likeness.none": "相似程度未参与判定：对照组提高得太少。",
    "verdict.learned": (
        "仅一次试验、一个模型、一种微调方式。“学到”指：原图上的去噪损失下降了多少，以直接在原图上微调的下降幅度为 100%。"
    ),
    "verdict.rule": (
        "“学到”指原图上去噪损失的下降幅度与原图组下降幅度之比。无法判定：原图组的损失下降不足 {lesson:.0%}、缺少对照组，"
        "或各随机种子的结果不一致。崩溃：学到不足 {collapse_learned:.0%}，且图片纹理与真实照片的差距比两个对照组中较差的一个至少大 "
        "{excess:g} dB 或相似程度至多为其 {unlike:.0%}；或学到不足 {collapse_half:.0%} 且至少大 {collapse_excess:g} dB "
        "或至多为 {collapse_unlike:.0%}：必须从图片上也看得出来，而不只是损失。相似程度指微调后与照片相似度的提高，有 DINOv2 时用 "
        "DINOv2；否则，若两个对照组的结构相似度（与最接近照片的 SSIM）都至少提高 {structure:g}，则按结构（此时不看纹理）；其余按轮廓和颜色。削弱：比相同上限的随机噪声至少少学到 {effect:.0%}，或纹理至少差 {excess:g} dB，或相似程度低于上述比例。其余为无效。有多个随机种子时，"
        "它们的 95% 区间（学生 t 分布）须大于零。这些阈值是本工具的约定。"
    ),
    # 报告的注意事项
    "lab.one_seed": "仅一个随机种子：这是例子，不是证据。请用 --seeds 3 或更多重复。",
    "lab.few_pictures": "FID、KID、精确率和召回率仅基于每次运行每组 {pictures} 张图片：只是粗略值。",
    "lab.unprotected": "每组中，模仿者的照片有 {share:.0%} 未受保护。",
    "lab.not_learned": "原图组没有学会主体：{cells}。",
    # 指标的依据
    "basis.pictures": (
        "每次运行每组 {pictures} 张图片，与 {photos} 张原图比较。相似度、多样性、FID、KID、精确率与召回率：取自基础模型（{model}）"
        "U-Net 中间层在 t = 100 时的特征，池化为 2 x 2，共 {numbers} 个数；不能与基于 Inception 的数值相比。纹理：小波，不用网络。"
        "周期性图案：亮度功率谱，不用网络，该组与原图组同一种子的 {pictures} 对图片；即使没有图案，也不为 0，而有几个 dB。"
        "单次运行的区间：对图片作 95% 自助法；多次运行：95% 学生 t 分布。"
    ),
    "basis.pretrained": "CLIP 与 DINOv2 相似度：生成图片与原图所有配对的平均余弦{among}{prompt}。",
    "basis.among": "（不同原图之间：CLIP {clip:.3f}，DINOv2 {dinov2:.3f}）",
    "basis.prompt": "。CLIP 与提示词的一致性：图片与整个提示词（包括生造的词）的平均余弦",
    "basis.nothing": "",
    "basis.faces": "人脸：取每张图片中检测到的最大一张；人物是 {photos} 张原图中 {found} 张里人脸的平均。",
    "extractor.photos": "{name}，每次运行每组 {pictures} 张图片，与 {photos} 张原图比较",
    "extractor.faces": "{name}，每次运行、每组 {pictures} 张图片中有人脸的那些，对照 {photos} 张原图",
    "extractor.prompt": "{name}，每次运行每组 {pictures} 张图片，与提示词比较",
    # 名称
    "method.eudp": "EUDP（按噪声调度加权选取时间步）",
    "method.eudp-target": "EUDP，共同目标（我们的补充）",
    "method.udp": "UDP（均匀选取时间步）",
    "method.advdm": "AdvDM（无代理模型）",
    "method.fsmg": "FSMG（代理模型在原图上训练）",
    "method.aspl": "ASPL（Anti-DreamBooth）",
    "method.simac": "SimAC（ASPL，贪心选取时间步）",
    "method.sds": "SDS（分数蒸馏，不经过 U-Net 的梯度）",
    "method.mist": "Mist（纹理、语义或两者兼用）",
    "method.photoguard": "PhotoGuard（攻击编码器）",
    "method.random": "随机噪声（对照）",
    "recipe.lora": "LoRA（适配器）",
    "recipe.dreambooth": "DreamBooth（全部权重）",
    "recipe.textual_inversion": "文本反演（一个词）",
    "recipe.cat": "DreamBooth，先适配自编码器（CAT）",
    "recipe.noise_word": "DreamBooth，给噪声一个词（模型须认识该类别）",
    "arm.base": "微调之前",
    "arm.clean": "原图",
    "arm.random": "随机噪声",
    "arm.protected": "受保护",
    "metric.clean_loss": "原图上的去噪损失",
    "metric.clean_loss.help": "越低，模型对真实主体越熟悉。结论以此为据。",
    "metric.diversity": "多样性",
    "metric.diversity.help": "同组图片之间的平均距离。0：全都相同。",
    "metric.similarity": "与原图的相似度",
    "metric.similarity.help": "1：同一张图片。0：不比微调前更接近。",
    "metric.shape_similarity": "轮廓和颜色与原图的相似度",
    "metric.shape_similarity.help": "同上，但不经过模型：只看轮廓和颜色。没有更精细的依据时，结论以它为准。",
    "metric.structure_similarity": "与最接近的原图的结构相似度",
    "metric.structure_similarity.help": "1：逐像素与那张原图相同。照片被模型背下来时，结论以它为准。",
    "metric.texture_distance": "纹理偏差",
    "metric.texture_distance.help": "与原图纹理的差距。0：相同。",
    "metric.noise_level": "图片中的噪声",
    "metric.noise_level.help": "估计的噪声（0–255 级）。越高颗粒感越强。",
    "metric.blur": "模糊度",
    "metric.blur.help": "越高越模糊。",
    "metric.fid": "FID",
    "metric.fid.help": "两组图片在基础模型特征空间中的距离。0：相同。图片很少时只是粗略值。",
    "metric.kid": "KID",
    "metric.kid.help": "另一种度量，图片较少时偏差更小。",
    "metric.precision": "精确率",
    "metric.precision.help": "质量：落在原图范围内的生成图片所占比例。",
    "metric.recall": "召回率",
    "metric.recall.help": "多样性：落在生成图片范围内的原图所占比例。",
    "metric.final_training_loss": "最终训练损失",
    "metric.final_training_loss.help": "最后五分之一步数的平均值，在该组照片上计算。",
    "metric.weight_change": "权重变化",
    "metric.weight_change.help": "权重移动的幅度。0 表示什么也没学到。",
    "metric.clip_image_similarity": "CLIP 图像相似度",
    "metric.clip_image_similarity.help": "由 CLIP 计算的与原图的相似度。1：相同。",
    "metric.dinov2_image_similarity": "DINOv2 图像相似度",
    "metric.dinov2_image_similarity.help": "由 DINOv2 计算的与原图的相似度。1：相同。",
    "metric.face_share": "有人脸的图片",
    "metric.face_share.help": "检测器能找到人脸的图片所占比例。1：全部。",
    "metric.identity_similarity": "是同一个人",
    "metric.identity_similarity.help": "在有人脸的图片中，与原图人物的余弦相似度。",
    "metric.clip_prompt_agreement": "与提示词的一致性",
    "metric.clip_prompt_agreement.help": "由 CLIP 计算的图片与提示词的一致程度。越高越接近。",
    "metric.pattern_excess": "条纹或其他周期性图案",
    "metric.pattern_excess.help": "超出原图组图片的部分。几个 dB 可能只是偶然。",
    "cleaning.none": "不净化",
    "cleaning.jpeg95": "JPEG，质量 95",
    "cleaning.jpeg75": "JPEG，质量 75",
    "cleaning.jpeg50": "JPEG，质量 50",
    "cleaning.half": "缩小一半再放大",
    "cleaning.crop": "略微裁剪",
    "cleaning.blur": "高斯模糊",
    "cleaning.noise": "高斯噪声",
    "cleaning.median": "中值滤波",
    "cleaning.bilateral": "双边滤波",
    "cleaning.guided": "引导滤波",
    "cleaning.vae": "自编码器往返",
    "cleaning.invert": "解码器能生成的最接近图像",
    "cleaning.upscale": "加噪后图生图",
    "cleaning.gridpure": "分块扩散净化",
    "cleaning.chain": "{first}，然后{then}",
    "setting.budget": "扰动上限",
    "setting.budget.help": "每个像素的最大改动（L∞），以 1/255 为单位",
    "setting.steps": "步数",
    "setting.steps.help": "训练步数",
    # “说明”标签页
    "about.step.photos": "您的照片",
    "about.step.photos.text": "加上改动，每个像素都不超过扰动上限",
    "about.step.learn": "模型的副本学习它们",
    "about.step.learn.text": "训练几步：它的去噪损失下降",
    "about.step.adjust": "调整扰动",
    "about.step.adjust.text": "在像素上走几步梯度：去噪损失上升",
    "about.step.done": "受保护的照片",
    "about.step.done.text": "在上限之内取整为 8 位，存为 PNG",
    "about.limit.cost": (
        "<b>它提高模仿的代价，但不是保证。</b>扰动是针对一个模型做的。换一个模型、训练更久，或用以后出现的方法，仍"
        "可能从中学到东西。"
    ),
    "about.limit.imitator": (
        "<b>模仿者如何训练，影响很大。</b>默认情况下，模仿者不急于求成：每步四张照片，共 600 步，不用先验保留。步数少得多时，每一组都"
        "模糊，没有多少可比。用先验保留时，引导会成倍放大照片所教的一切，改动也在其中。"
        "<b>如果模仿者先让自编码器学会您的照片，就能重新得到主体</b>：在我们的试验中，被 EUDP 破坏的狗又完整了。方法 CAT 可以试验这一点。"
    ),
    "about.limit.cleaning": (
        "<b>净化可以使它失效。</b>JPEG、缩放、去噪和扩散净化都会削弱这类扰动；该方法的第一作者后来也证明了这一点（"
        '<a href="https://arxiv.org/abs/2312.00084" target="_blank" rel="noopener">arXiv&nbsp;2312.00084</a>）。我们在内置模型上的'
        "试验中，JPEG、缩小一半和模糊对默认的保护削弱很少；把照片稍作裁剪，或让它在自编码器中往返一次，模仿者得到的主体有损坏，但仍认得出来；"
        "<b>如果先为每张照片求出解码器能生成的最接近的图像，模仿者就能重新得到主体，只是略为模糊</b>。"
        "“稳健性”标签页会针对您的照片进行测量。"
    ),
    "about.limit.style": (
        "<b>风格仍认得出来。</b>在我们用剪纸风景所做的试验中，学到的内容少了一半以上，但任何人仍能认出这种风格。如果先把每张图片"
        "换成解码器能生成的最接近的图片，肉眼看来，用受保护的图片得到的模仿与用同样处理过的原图得到的一样。"
    ),
    "about.limit.copies": (
        "<b>未受保护的副本会使它失效。</b>如果模仿者还有您的原图（以前的，或从别处得到的），就不需要受保护的照片了。"
    ),
    "about.limit.png": "<b>只有 PNG 能保留它。</b>会重新压缩上传图片的网站，也会改变扰动。",
    "about.limit.reading": (
        "<b>EUDP 的时间步分布是我们的理解，另有一项以及随机裁剪是我们的补充。</b>作者既没有公布代码，也没有公布选取时间步的公式"
        "。我们按噪声调度对图片的缩放系数成比例地选取，并且还让每张照片经模型的自编码器编码再解码后的样子远离原图。"
        "过程中随机裁剪照片，使裁剪后的照片仍受保护。把编码器权重设为 0、Augment 设为 none，即可去掉这两项。"
    ),
    "about.limit.pixels": (
        "<b>在像素模型上，它没有胜过随机噪声。</b>这类模型不像 Stable Diffusion 那样有编码器；在我们的试验中，它从"
        "受保护的图片中学到的，并不比从加随机噪声的图片中少。"
    ),
    "about.limit.trial": (
        "<b>您看到的是在一个小模型上的一次试验。</b>内置模型的分辨率为 128 像素。这里的结论只说明在它上面发生了什么"
        "，不代表别处也会如此。除非您将其去掉，否则每次都会同时试验相同上限的随机噪声。"
    ),
    "about.how": "工作原理",
    "about.steps": "方法的四个步骤",
    "about.worth": "它有多大用处",
    "about.photos": "您的照片",
    "about.cite": "引用",
    "about.again": (
        "第二步和第三步交替进行若干轮，使照片在模型适应之后仍然难学。<b>UDP</b> 对所有噪声水平一视同仁；<b>EUDP</b>"
        "\n则更多地用在照片仍能透过噪声显现的那些水平上。"
    ),
    "about.privacy": (
        "照片存放在服务器上您自己的文件夹里，关闭页面 {minutes:g} 分钟后删除。重新加载页面时，凭链接和您的浏览器保存"
        "的密钥可以找回正在运行或已完成的任务；仅凭链接，谁也看不到任何内容。不保留历史记录，不收集统计数据，也不向"
        "其他服务器请求任何内容，除非您把受保护的照片保存到自己的账号。照片的位置和相机信息（EXIF）不会写入受保护的文件。"
    ),
    "about.source": (
        '本应用是 <a href="https://arxiv.org/abs/2306.01902" target="_blank" rel="noopener">arXiv&nbsp;2306.01902'
        "</a> 的独立实现。请引用该论文："
    ),
}
CHINESE = Language("zh", TEXTS, ENGLISH)
