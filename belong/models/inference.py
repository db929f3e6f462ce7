"""Copy a network for inference: the same values with fewer passes over memory.

A batch normalization is a scale and a shift once nothing is learned: the convolution before it can
do both. oneDNN, with which torch computes convolutions on a CPU, can apply the activation while a
result is still in the processor's registers. torch calls that from its compiler alone, which takes
seconds to start; here its operator is called as it is.

Measured on one thread of an AMD EPYC (Zen 4) that was busy otherwise, 224 px, PyTorch 2.15, medians
in images per second: EfficientNet-Lite0 as timm computes it 36, here 71, in bfloat16 115;
EfficientNet-B0 as torchvision computes it, folded, 38. `python -m benchmarks embed-lite0
embed-lite0-bfloat16 embed-b0` measures again, beside ONNX Runtime.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeGuard, TypeVar

import torch
import torch.nn.functional as F  # noqa: N812  (the name that all of torch's users know)
from timm.layers.activations import Sigmoid
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.conv_bn_act import ConvNormAct
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.padding import pad_same
from timm.layers.squeeze_excite import SEModule
from timm.models import _efficientnet_blocks as efficientnet_blocks
from timm.models import efficientnet, mobilenetv3, resnet
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops.misc import Conv2dNormActivation

from belong.models.forward_pass import filled
from belong.runtime import portable_math
from belong.runtime.errors import InputError

Module = TypeVar("Module", bound=nn.Module)

# Images at once. More leave the processor's cache, and glibc returns the memory of larger maps to
# the system after each layer; fewer do not amortize what Python takes.
CPU_BATCH, GPU_BATCH = 4, 16
DTYPES = (torch.float32, torch.bfloat16)

# Modules that one forward pass calls directly one after the other, by the class that calls them:
# a convolution, its batch normalization if there is one, and what follows. Read from timm's code;
# a subclass may do otherwise and is left as it is.
CHAINS: dict[type[nn.Module], tuple[tuple[str, ...], ...]] = {
    ConvNormAct: (("conv", "bn"),),
    efficientnet.EfficientNet: (("conv_stem", "bn1"), ("conv_head", "bn2")),
    mobilenetv3.MobileNetV3: (("conv_stem", "bn1"), ("conv_head", "norm_head", "act2")),
    efficientnet_blocks.ConvBnAct: (("conv", "bn1"),),
    efficientnet_blocks.DepthwiseSeparableConv: (
        ("conv_s2d", "bn_s2d"),
        ("conv_dw", "bn1"),
        ("conv_pw", "bn2"),
    ),
    efficientnet_blocks.InvertedResidual: (
        ("conv_s2d", "bn_s2d"),
        ("conv_pw", "bn1"),
        ("conv_dw", "bn2"),
        ("conv_pwl", "bn3"),
    ),
    efficientnet_blocks.EdgeResidual: (("conv_exp", "bn1"), ("conv_pwl", "bn2")),
    efficientnet_blocks.SqueezeExcite: (("conv_reduce", "act1"), ("conv_expand", "gate")),
    SEModule: (("fc1", "bn", "act"), ("fc2", "gate")),
    resnet.ResNet: (("conv1", "bn1", "act1"),),
    resnet.BasicBlock: (("conv1", "bn1", "drop_block", "act1"), ("conv2", "bn2")),
    resnet.Bottleneck: (
        ("conv1", "bn1", "act1"),
        ("conv2", "bn2", "drop_block", "act2"),
        ("conv3", "bn3"),
    ),
}

# What oneDNN can apply to a result: its name and numbers.
Attribute = tuple[str, list[float]]
NOTHING: Attribute = "none", []
ATTRIBUTES: dict[type[nn.Module], Attribute] = {
    nn.Identity: NOTHING,
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
    nn.Sigmoid: ("sigmoid", []),
    Sigmoid: ("sigmoid", []),
    nn.Hardsigmoid: ("hardsigmoid", []),
}


def for_inference(module: Module, *, dtype: torch.dtype = torch.float32) -> Module:
    """Return a copy for use without learning, with its normalizations and activations merged.

    The copy has the methods and children of the original. Merged are the blocks in `CHAINS`; all
    else stays as it is. Its values differ from those of the original by less than 1e-4 of the
    largest in float32, and by about 2e-2 in bfloat16, which takes half the time on processors
    that compute in it. Where oneDNN does not compute, as on a GPU, the activations stay steps of
    their own.

    Args:
        module: any network.
        dtype: of weights and inputs: float32 or bfloat16.

    Raises:
        InputError: another dtype, or one that this processor does not compute in.
    """
    check_dtype(dtype)
    merged = copy.deepcopy(module).eval().requires_grad_(False)
    for block in list(merged.modules()):
        for chain in _chains(block):
            _merge(*chain)
    return merged.to(dtype)


def check_dtype(dtype: torch.dtype) -> None:
    """Refuse a type of numbers that this processor does not compute in.

    Raises:
        InputError: says which type came, and which were expected.
    """
    if dtype not in DTYPES:
        expected = " or ".join(str(one).removeprefix("torch.") for one in DTYPES)
        raise InputError(f"dtype: expected {expected}, got {str(dtype).removeprefix('torch.')}")
    if dtype == torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        why = (
            "math: portable is limited to AVX2, which has no bfloat16"
            if portable_math.current() == portable_math.PORTABLE
            else "this processor has no bfloat16"
        )
        raise InputError(f"dtype: bfloat16: {why}; expected float32")


def batch_for(device: torch.device) -> int:
    """Return how many images pass at once where nothing is learned."""
    return CPU_BATCH if device.type == "cpu" else GPU_BATCH


def in_full_batch(function: Callable[[Tensor], Tensor], rows: Tensor, *, batch_size: int) -> Tensor:
    """Return `function` of up to `batch_size` rows (n, ...), called with that many: (n, ...).

    Batches of another size may be computed in another order, and the last bits of a row would
    depend on how many are beside it. An empty batch stays empty.
    """
    return function(filled(rows, batch_size))[: len(rows)]


class MergedConv2d(nn.Module):
    """A convolution, and the batch normalization and activation after it, as one module.

    Attributes:
        weight: (out, in / groups, kh, kw), with the normalization's scale, and
        bias: (out,), with its shift; None if there is none.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d | None, activation: nn.Module) -> None:
        super().__init__()
        weight, bias = conv.weight.detach(), None if conv.bias is None else conv.bias.detach()
        if norm is not None:
            mean, var = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
            weight, bias = fuse_conv_bn_weights(
                conv.weight, conv.bias, mean, var, norm.eps, norm.weight, norm.bias
            )
            weight, bias = weight.detach(), bias.detach()
        self.register_buffer("weight", weight)
        self.register_buffer("bias", bias)
        self.activation = activation
        self.attribute = ATTRIBUTES[type(activation)]
        self.is_same = isinstance(conv, Conv2dSame)
        self.stride, self.dilation = list(conv.stride), list(conv.dilation)
        self.padding, self.groups = [int(pixels) for pixels in conv.padding], conv.groups
        # Height and width of the maps it is for, the weight in oneDNN's order, and the padding.
        self._packed: tuple[tuple[int, int], Tensor, list[int]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out, h', w')."""
        if not _runs_in_onednn(x):
            return self._plain(x)
        weight, padding = self._prepared(x)
        merged: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, weight, self.bias, padding, self.stride, self.dilation, self.groups,
            *self.attribute, "",
        )  # fmt: skip
        return merged

    def _plain(self, x: Tensor) -> Tensor:
        if self.is_same:
            x = pad_same(x, list(self.weight.shape[2:]), self.stride, self.dilation)
        x = F.conv2d(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )
        activated: Tensor = self.activation(x)
        return activated

    def _prepared(self, x: Tensor) -> tuple[Tensor, list[int]]:
        """Return the weight and the padding for maps of this size; they are kept for the next."""
        size, kept = (x.shape[2], x.shape[3]), self._packed
        if kept is None or kept[0] != size:
            weight, padding = self.weight, self.padding
            if self.is_same:
                weight, padding = self._padded_evenly(size)
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight.contiguous(memory_format=torch.channels_last), padding, self.stride,
                self.dilation, self.groups, list(x.shape),
            )  # fmt: skip
            self._packed = kept = size, packed, padding  # in one step, for other threads
        return kept[1:]

    def _padded_evenly(self, size: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Return a weight and a padding, the same on both sides, that do what "same" does.

        TensorFlow pads one pixel more at the end of an axis than at its start, where the sum is
        odd; oneDNN is given one number. A zero before the kernel moves it by a pixel, which saves
        a copy of the maps with their edge.
        """
        weight, padding = self.weight, list[int]()
        for axis, pixels in enumerate(size):
            kernel, stride = weight.shape[2 + axis], self.stride[axis]
            span = self.dilation[axis] * (kernel - 1) + 1
            total = max((-(-pixels // stride) - 1) * stride + span - pixels, 0)
            if total % 2:
                weight = F.pad(weight, (0, 0, 1, 0) if axis == 0 else (1, 0))
            padding.append((total + 1) // 2)
        return weight, padding

    def _apply(self, fn: Any, recurse: bool = True) -> "MergedConv2d":
        self._packed = None  # made of the weight before it moved
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what copies and pickles cannot hold and the next pass makes."""
        return {**self.__dict__, "_packed": None}


def _runs_in_onednn(x: Tensor) -> bool:
    return bool(
        x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.ndim == 4
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled  # a caller may have switched it off
        and not (torch.is_grad_enabled() and x.requires_grad)
    )


# --- what can be merged -------------------------------------------------------------------------


def _chains(block: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """Yield parents, and the names of their modules that are called one after the other."""
    if type(block) is Conv2dNormActivation:
        yield block, _names(block)
    for chain in CHAINS.get(type(block), ()):
        yield block, list(chain)
    if type(block) in CHAINS:  # such as the shortcut of a residual block
        for child in block.children():
            if type(child) is nn.Sequential:
                yield from ((child, _names(child)[at:]) for at in range(len(child)))


def _names(module: nn.Module) -> list[str]:
    return [name for name, _ in module.named_children()]


def _merge(parent: nn.Module, names: Sequence[str]) -> None:
    """Merge the first modules of a chain, if these can be merged."""
    conv = getattr(parent, names[0], None)
    norm = getattr(parent, names[1], None) if len(names) > 1 else None
    if not _is_known_conv(conv):
        return
    if not _is_known_norm(norm):
        activation = _taken_out(parent, names[1:])
        if type(activation) is not nn.Identity:
            setattr(parent, names[0], MergedConv2d(conv, None, activation))
        return
    setattr(parent, names[1], nn.Identity())
    activation = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
    if type(activation) not in ATTRIBUTES:
        setattr(parent, names[1], activation)
        activation = nn.Identity()
    elif type(activation) is nn.Identity:
        activation = _taken_out(parent, names[2:])
    setattr(parent, names[0], MergedConv2d(conv, norm, activation))


def _taken_out(parent: nn.Module, names: Sequence[str]) -> nn.Module:
    """Return the activation that comes first in a chain; an identity takes its place."""
    for name in names:
        module: nn.Module | None = getattr(parent, name, None)
        if module is None or type(module) not in ATTRIBUTES or _has_hooks(module):
            break
        if type(module) is not nn.Identity:
            setattr(parent, name, nn.Identity())
            return module
    return nn.Identity()


def _is_known_conv(module: nn.Module | None) -> TypeGuard[nn.Conv2d]:
    if not isinstance(module, nn.Conv2d) or _has_hooks(module):
        return False
    if type(module) is Conv2dSame:  # one step of a dilated kernel is more than a pixel
        return set(module.dilation) == {1}
    is_plain = type(module) is nn.Conv2d and module.padding_mode == "zeros"
    return is_plain and not isinstance(module.padding, str)


def _is_known_norm(module: nn.Module | None) -> TypeGuard[nn.BatchNorm2d]:
    if not isinstance(module, nn.BatchNorm2d) or _has_hooks(module):
        return False
    if type(module) is BatchNormAct2d and type(module.drop) is not nn.Identity:
        return False
    return type(module) in (nn.BatchNorm2d, BatchNormAct2d) and module.running_mean is not None


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)
