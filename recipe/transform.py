"""The autoencoder in closed form: a Karhunen-Loeve transform of 8 x 8 blocks with Gaussianised coefficients.

Minutes of gradient descent from random weights leave an `AutoencoderTiny` blurry and numb (24.9 dB). Its layers can
instead be *written down*, from second-order statistics of the training pictures:

- Encoder. The strided convolutions gather a block's 8 x 8 x 3 pixels without loss; the last of them projects them on
  the block's first principal components. Those coefficients have heavy tails, so the residual blocks bend each by a
  monotone piecewise-linear curve until it is about normal. That is what makes the latents answer a perturbation as
  published autoencoders do: a curve is steepest around zero, where photographs keep most of their detail.
- Decoder. The residual blocks at the smallest size apply the inverse curves. Every later size halves a block: the four
  children of a parent need different linear maps of its coefficients, while nearest upsampling gives all four the same
  values. Which child a position is shows in its neighbours (a left child's left neighbour belongs to another parent),
  so a map that only right children need is gated by "my left neighbour has my values".

The result is exact: decoding an encoding gives the projection of the picture on the components, up to rounding.
Transform coding of blocks goes back to Huang and Schultheiss (1963); writing it into a convolutional autoencoder, with
Gaussianised coefficients (compare Chen and Gopinath, 2000), is ours.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers import AutoencoderTiny
from diffusers.models.autoencoders.vae import AutoencoderTinyBlock

from udp.errors import InvalidInput

LATENT_SCALE = 3.0  # the decoder's soft clamp, 3 tanh(z / 3), must not reach the latents: they are stored divided by it
# Where the curves bend, in standard deviations of the latent; the two outermost only give the outer slopes.
NODES = (-3.2, -2.2, -1.3, -0.5, 0.5, 1.3, 2.2, 3.2)
STEEPEST = 5.0  # at most this many times the slope that whitening would use: flat areas must not amplify rounding
FLAT = 0.002  # neighbours that differ by less, in sum and of values of at most about 1, count as partly the same parent
WIDTH = 64  # channels of every layer
ONE = WIDTH - 1  # the channel that holds the constant 1, because the strided and upsampling convolutions have no bias
Y, X = 0, 1  # the axes along which a block has two children
FLOOR = 0.25  # margin above 0 of every value that has to pass a ReLU


@dataclass(frozen=True)
class Curve:
    """Monotone piecewise-linear curves, one per row: values `outputs` (k, n) at `inputs` (k, n), straight beyond."""

    inputs: torch.Tensor
    outputs: torch.Tensor

    @property
    def slopes(self) -> torch.Tensor:
        """The slope of every piece, (k, n - 1)."""
        return self.outputs.diff(dim=1) / self.inputs.diff(dim=1)

    def inverse(self) -> Curve:
        """The curves read the other way."""
        return Curve(self.outputs, self.inputs)


def blocks_of(images: torch.Tensor, side: int) -> torch.Tensor:
    """(N, 3, H, W) to (N * H/side * W/side, 3 side^2), pixels in the order in which 2 x 2 gathers nest.

    `side` is a power of two. The order is (half y, half x) of the block, then of that quarter and so on, then colour.
    """
    levels = side.bit_length() - 1
    count, _, height, width = images.shape
    shape = [count, 3, height // side, *[2] * levels, width // side, *[2] * levels]
    rows = [3 + level for level in range(levels)]
    columns = [4 + levels + level for level in range(levels)]
    pairs = [axis for pair in zip(rows, columns, strict=True) for axis in pair]
    return images.reshape(shape).permute(0, 2, 3 + levels, *pairs, 1).reshape(-1, 3 * side * side)


def principal_components(samples: torch.Tensor, count: int) -> torch.Tensor:
    """The first `count` orthonormal principal directions (count, d) of `samples` (n, d)."""
    return torch.linalg.eigh(torch.cov(samples.T)).eigenvectors.flip(1)[:, :count].T


def gaussianising(coefficients: torch.Tensor) -> Curve:
    """Curves that map each column of `coefficients` (n, k) to about a standard normal variable, by its quantiles."""
    nodes = torch.tensor(NODES, dtype=coefficients.dtype)
    levels = torch.special.ndtr(nodes)
    ordered = coefficients.sort(0).values
    places = (levels * (len(ordered) - 1)).round().long()
    inputs = ordered[places].T.contiguous()
    deviation = coefficients.std(0, keepdim=True).T
    gaps = inputs.diff(dim=1).clamp_min(1e-3 * deviation)
    slopes = (nodes.diff() / gaps).minimum(STEEPEST / deviation)
    inputs = torch.cat([inputs[:, :1], inputs[:, :1] + gaps.cumsum(1)], 1)
    rises = (slopes * gaps).cumsum(1)
    outputs = torch.cat([torch.zeros_like(rises[:, :1]), rises], 1)
    curve = Curve(inputs, outputs)
    values = evaluate(curve, coefficients)
    return Curve(inputs, (outputs - values.mean(0)[:, None]) / values.std(0)[:, None])


def evaluate(curve: Curve, values: torch.Tensor) -> torch.Tensor:
    """`curve` at `values` (n, k)."""
    slopes = curve.slopes
    result = curve.outputs[:, 0] + slopes[:, 0] * (values - curve.inputs[:, 0])
    for bend in range(1, curve.inputs.shape[1] - 1):
        step = slopes[:, bend] - slopes[:, bend - 1]
        result = result + step * (values - curve.inputs[:, bend]).clamp_min(0)
    return result


@dataclass(frozen=True)
class GatedMap:
    """`weight` (m, in), whose values stay within `bounds` (m,), added to channels from `target` on where every axis of
    `axes` says "second child"."""  # fmt: skip

    weight: torch.Tensor
    bounds: torch.Tensor
    axes: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class Split:
    """How the four children of a block depend on its coefficients: child (y, x) is
    `common` + y `lower` + x `right` + y x `both`, each (m, in)."""  # fmt: skip

    common: torch.Tensor
    right: torch.Tensor
    lower: torch.Tensor
    both: torch.Tensor

    @classmethod
    def of(cls, maps: torch.Tensor) -> Split:
        """From one map a child, (4, m, in), children in the order (y, x)."""
        common, right, lower, both = maps
        return cls(common, right - common, lower - common, both - right - lower + common)

    def divided(self, magnitudes: torch.Tensor) -> Split:
        """The same with the children's values divided by `magnitudes` (m,)."""
        return Split(*(part / magnitudes[:, None] for part in (self.common, self.right, self.lower, self.both)))

    def children(self) -> tuple[torch.Tensor, ...]:
        """The map of every child, in the order (y, x)."""
        return (
            self.common,
            self.common + self.right,
            self.common + self.lower,
            self.common + self.right + self.lower + self.both,
        )

    def bounds(self, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """1.5 times the largest magnitude of `right`, `lower`, `both` and of all four together at `values` (n, in)."""
        parts = [(values @ part.T).abs() for part in (self.common, self.right, self.lower, self.both)]
        total = torch.stack(parts).sum(0)
        return tuple(1.5 * part.amax(0) + 1e-3 for part in (*parts[1:], total))


class Writer:
    """Writes linear maps and gates into the layers of one half of an `AutoencoderTiny`."""

    def __init__(self, half: torch.nn.Module) -> None:
        self.convolutions = [layer for layer in half.layers if isinstance(layer, torch.nn.Conv2d)]
        self.blocks = [layer for layer in half.layers if isinstance(layer, AutoencoderTinyBlock)]

    @staticmethod
    def clear(convolution: torch.nn.Conv2d) -> torch.nn.Conv2d:
        """`convolution` with every weight 0."""
        convolution.weight.zero_()
        if convolution.bias is not None:
            convolution.bias.zero_()
        return convolution

    def pointwise(self, index: int, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        """Convolution `index` = `weight` (out, in) at the centre, plus `bias` (out,)."""
        convolution = self.clear(self.convolutions[index])
        convolution.weight[: weight.shape[0], : weight.shape[1], 1, 1] = weight.float()
        if bias is not None:
            convolution.bias[: len(bias)] = bias.float()

    def gather(self, index: int, weight: torch.Tensor) -> None:
        """Strided convolution `index` = `weight` (out, 4 c) of the 2 x 2 values (y, x, channel) that it covers."""
        convolution = self.clear(self.convolutions[index])
        channels = weight.shape[1] // 4
        for place in range(4):
            part = weight[:, place * channels : (place + 1) * channels].float()
            convolution.weight[: len(weight), :channels, 1 + place // 2, 1 + place % 2] = part

    def hidden(self, block: int) -> tuple[torch.nn.Conv2d, torch.nn.Conv2d, torch.nn.Conv2d]:
        """The three convolutions of residual block `block`, cleared."""
        first, _, second, _, third = self.blocks[block].conv
        return self.clear(first), self.clear(second), self.clear(third)

    def curves(self, first_block: int, curve: Curve) -> torch.Tensor:
        """Bend channel i by `curve` i in consecutive residual blocks, as many bends a block as its width allows.

        Channel i must hold slope_0 * (x - inputs_0) + FLOOR. Returns the channels' offset (k,): afterwards channel i
        holds curve_i(x) + offset_i.
        """
        slopes = curve.slopes
        count, bends = slopes.shape[0], slopes.shape[1] - 1
        a_block = WIDTH // count
        channels = torch.arange(count)
        reached = curve.outputs - curve.outputs[:, :1] + FLOOR  # the channel's value at every node, once bent there
        for start in range(0, bends, a_block):
            first, second, third = self.hidden(first_block + start // a_block)
            before = slopes[:, start]  # the slope that the channel still has right of this block's bends
            for number, bend in enumerate(range(start, min(start + a_block, bends))):
                unit = channels + number * count
                knot = reached[:, start] + before * (curve.inputs[:, bend + 1] - curve.inputs[:, start])
                first.weight[unit, channels, 1, 1] = 1
                first.bias[unit] = -knot.float()
                second.weight[unit, unit, 1, 1] = 1
                third.weight[channels, unit, 1, 1] = ((slopes[:, bend + 1] - slopes[:, bend]) / before).float()
        return FLOOR - curve.outputs[:, 0]

    def gate(self, block: int, maps: list[GatedMap], offsets: torch.Tensor, compared: int) -> None:
        """Add `maps` of the input values to other channels in residual block `block`, each at some children only.

        Channel i holds value i + `offsets`_i (in,). "My left neighbour has my values" is measured on the first
        `compared` of those channels: d = sum |difference|. For a value v of the map with |v| <= K,
        K ReLU(v / K + 1 - 2 d / FLAT) - K ReLU(1 - 2 d / FLAT) is v where d = 0 and 0 where d > FLAT.
        """
        first, second, third = self.hidden(block)
        axes = sorted({axis for gated in maps for axis in gated.axes})
        unit = 0
        differences: dict[int, list[int]] = {}
        for axis in axes:
            differences[axis] = list(range(unit, unit + 2 * compared))
            for channel in range(compared):
                for sign in (1, -1):
                    first.weight[unit, channel, 1, 1] = sign
                    first.weight[unit, channel, 0 if axis == Y else 1, 0 if axis == X else 1] = -sign
                    unit += 1
        free = 0  # the second layer's units are counted apart: the differences end there
        for gated in maps:
            rows, inputs = gated.weight.shape
            apart = [u for axis in gated.axes for u in differences[axis]]
            switch = free + rows
            second.bias[switch] = 1
            second.weight[switch, apart, 1, 1] = -2 / FLAT
            for row in range(rows):
                bound = gated.bounds[row]
                first.weight[unit, :inputs, 1, 1] = (gated.weight[row] / bound).float()
                first.bias[unit] = (1 - gated.weight[row] @ offsets / bound).float()
                second.weight[free, unit, 1, 1] = 1
                second.weight[free, apart, 1, 1] = -2 / FLAT
                third.weight[gated.target + row, free, 1, 1] = bound.float()
                third.weight[gated.target + row, switch, 1, 1] = -bound.float()
                unit, free = unit + 1, free + 1
            free += 1


@torch.no_grad()
def initialise(model: AutoencoderTiny, images: torch.Tensor) -> None:
    """Write the transform fitted to `images` (N, 3, H, W) in [0, 1], H and W multiples of 8, into `model`, in place.

    `model` has 64 channels everywhere, encoder blocks (0, 0, 0, 3), decoder blocks (3, 3, 1, 1) and at most 32 latent
    channels (a residual block has room for two bends of 32 curves); `InvalidInput` if there are more.
    """
    latent = model.config.latent_channels
    if latent > 32:
        raise InvalidInput(f"expected at most 32 latent channels, got {latent}")
    images = images.double()
    colour = images.mean((0, 2, 3))
    samples = blocks_of(images, 8) - colour.repeat(64)
    basis = principal_components(samples, latent)
    coefficients = samples @ basis.T
    curve = gaussianising(coefficients)
    write_encoder(Writer(model.encoder), basis, colour, curve)
    bent = Curve(curve.inputs, LATENT_SCALE * torch.tanh(curve.outputs / LATENT_SCALE**2))
    write_decoder(Writer(model.decoder), basis, colour, bent.inverse(), coefficients)


def write_encoder(writer: Writer, basis: torch.Tensor, colour: torch.Tensor, curve: Curve) -> None:
    """Gather 8 x 8 pixels, project on `basis` (k, 192), bend."""
    writer.pointwise(0, torch.eye(3))
    writer.convolutions[0].bias[ONE] = 1
    writer.gather(1, torch.eye(12))
    writer.gather(2, torch.eye(48))
    slope = curve.slopes[:, :1]
    writer.gather(3, slope * basis)
    start = FLOOR - slope[:, 0] * (basis @ colour.repeat(64) + curve.inputs[:, 0])
    for convolution in writer.convolutions[1:3]:
        convolution.weight[ONE, ONE, 1, 1] = 1
    writer.convolutions[3].weight[: len(start), ONE, 1, 1] = start.float()
    for block in range(len(writer.blocks)):
        writer.hidden(block)
    offset = writer.curves(0, curve)
    writer.pointwise(4, torch.eye(len(offset)) / LATENT_SCALE, -offset / LATENT_SCALE)


def write_decoder(
    writer: Writer, basis: torch.Tensor, colour: torch.Tensor, curve: Curve, coefficients: torch.Tensor
) -> None:
    """Bend back, then halve blocks of 8 pixels with `coefficients` (n, k) three times."""
    latent = len(basis)
    # Values of at most 1 everywhere: training can then move all weights at one rate.
    largest = coefficients.abs().amax(0)
    curve = Curve(curve.inputs, curve.outputs / largest[:, None])
    slope = curve.slopes[:, 0]
    writer.pointwise(0, torch.diag(slope), FLOOR - slope * curve.inputs[:, 0])
    writer.convolutions[0].bias[ONE] = 1
    for block in range(len(writer.blocks)):
        writer.hidden(block)
    offsets = writer.curves(0, curve)

    # 4 x 4 blocks by their own principal components, as many as there are channels beside the parent's coefficients.
    parts = basis.T.reshape(4, 48, latent)
    sub_basis = principal_components(torch.cat([coefficients @ part.T for part in parts]), min(48, ONE - latent))
    split = Split.of(sub_basis @ parts * largest)
    values, offsets, largest = halve(writer, 1, (3, 4, 5), split, 0, coefficients / largest, offsets)

    split = Split.of(sub_basis.T.reshape(4, 12, len(sub_basis)) * largest)
    values, offsets, largest = halve(writer, 2, (6,), split, latent, values, offsets)

    split = Split.of(torch.eye(12, dtype=values.dtype).reshape(4, 3, 12) * largest)
    _, offsets, largest = halve(writer, 3, (7,), split, len(sub_basis), values, offsets)
    pick = torch.zeros(3, 15, dtype=values.dtype)
    pick[:, 12:] = torch.diag(largest)
    writer.pointwise(4, pick, colour - largest * offsets)


def halve(
    writer: Writer, convolution: int, blocks: tuple[int, ...], split: Split, first: int,
    values: torch.Tensor, offsets: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:  # fmt: skip
    """Write `split` into the convolution after an upsampling and the residual `blocks` behind it.

    Before, the channels from `first` on hold `values` (n, in) + `offsets` (in,); afterwards channels 0 to in - 1 do
    and the children's values follow, divided by their largest magnitude. Returns these values (4 n, m), their offsets
    (m,) and those magnitudes (m,).
    """
    count, inputs = split.common.shape
    results = torch.cat([values @ part.T for part in split.children()])
    largest = results.abs().amax(0) + 1e-6
    split = split.divided(largest)
    right, lower, both, total = split.bounds(values)
    children = total + FLOOR
    layer = writer.clear(writer.convolutions[convolution])
    own = slice(first, first + inputs)
    layer.weight[:inputs, own, 1, 1] = torch.eye(inputs)
    layer.weight[inputs : inputs + count, own, 1, 1] = split.common.float()
    layer.weight[inputs : inputs + count, ONE, 1, 1] = (children - split.common @ offsets).float()
    layer.weight[ONE, ONE, 1, 1] = 1
    maps = [
        GatedMap(split.right, right, (X,), inputs),
        GatedMap(split.lower, lower, (Y,), inputs),
        GatedMap(split.both, both, (Y, X), inputs),
    ]
    groups = [[gated] for gated in maps] if len(blocks) == 3 else [maps]
    for block, group in zip(blocks, groups, strict=True):
        axes = len({axis for gated in group for axis in gated.axes})
        compared = min(inputs, (WIDTH - sum(len(gated.weight) for gated in group)) // (2 * axes))
        writer.gate(block, group, offsets, compared)
    return results / largest, children, largest
