"""LoRA as the public trainers do it unless told otherwise: what an imitator gets who follows their instructions.

What is theirs here: rank, alpha, layers, batch, learning rate, steps. What stays ours, so that arms compare: AdamW in float32 (theirs is
often 8-bit), a rate that warms up and falls by a cosine (theirs is constant), centre crops at the model's resolution (theirs is often
512), and timesteps drawn as is usual for the family (`udp.models.schedule`).
"""

from __future__ import annotations

from udp.imitation.recipes.lora import LoRA

TRAINERS: dict[str, LoRA] = {
    # huggingface/diffusers, examples/dreambooth/train_dreambooth_lora_flux.py, _sd3.py and _z_image.py: defaults of --rank (alpha
    # is the same), --learning_rate and --train_batch_size; 500 steps in its README. The layers of its lists for SD3 and Z-Image.
    "diffusers": LoRA(steps=500, learning_rate=1e-4, batch_size=4, rank=4, scope="attention"),
    # kohya-ss/sd-scripts: docs/flux_train_network.md gives --network_dim 16, --network_alpha 1 and --learning_rate 1e-4;
    # --max_train_steps 1600 and --train_batch_size 1 are the defaults of library/train_util.py. Every linear layer of the blocks;
    # for Z-Image, kohya-ss/musubi-tuner's lora_zimage.py leaves out modulations and refiners, which ours adapts.
    "kohya": LoRA(steps=1600, learning_rate=1e-4, batch_size=1, rank=16, alpha=1, scope="linear"),
    # ostris/ai-toolkit, config/examples/train_lora_flux_24gb.yaml: linear 16, linear_alpha 16, lr 1e-4, batch_size 1, steps
    # 2000. Every linear layer of the blocks; its z_image.py names those after the refiners, which ours adapts too.
    "ai-toolkit": LoRA(steps=2000, learning_rate=1e-4, batch_size=1, rank=16, alpha=16, scope="linear"),
}
