"""Copy a network for inference: the same values with fewer passes over memory.

At inference, a batch normalization is a scale and a shift, which can be merged into the preceding
convolution. oneDNN, which computes torch's convolutions on a CPU, can also apply the activation
while a result is in the processor's registers. torch uses this feature only in its compiler, which
takes seconds to start; here the operator is called directly.

Medians in images per second on one thread of an AMD EPYC (Zen 4) under other load, 224 px, PyTorch
2.15: EfficientNet-Lite0 in timm 36, here 71, in bfloat16 115; EfficientNet-B0 in torchvision,
folded, 38. `python -m benchmarks embed-lite0 embed-lite0-bfloat16 embed-b0` measures again, with a
comparison to ONNX Runtime.
"""

import copy
from collections.abc import Iterator, Sequence
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

from belong.models.inference import DTYPES, check_dtype

Module = TypeVar("Module", bound=nn.Module)

# Modules that a forward pass calls consecutively, by the class that calls them: a convolution, its
# batch normalization, if any, and the next module. They are taken from timm's code; a subclass may
# differ, and is not changed.
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

# Activations that oneDNN can apply to a result: name and parameters.
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
    """Return a copy for inference, with merged normalizations and activations.

    The copy has the methods and children of the original. The blocks in `CHAINS` are merged; all
    other modules are unchanged. The values differ from those of the original by less than 1e-4 of
    the largest value in float32, and by about 2e-2 in bfloat16, which takes half the time on
    processors that support it. Without oneDNN, as on a GPU, the activations are not merged.

    Args:
        module: any network.
        dtype: type of weights and inputs: float32 or bfloat16.

    Raises:
        InputError: the type is another one, or not supported by the processor.
    """
    check_dtype(dtype)
    merged = copy.deepcopy(module).eval().requires_grad_(False)
    for block in list(merged.modules()):
        for chain in _chains(block):
            _merge(*chain)
    return merged.to(dtype)


class MergedConv2d(nn.Module):
    """A convolution with the subsequent batch normalization and activation, as one module.

    Attributes:
        weight: (out, in / groups, kh, kw), with the scale of the normalization.
        bias: (out,), with the shift of the normalization; None without a shift.
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
        # Height and width of the maps, the weight in oneDNN's layout, and the padding.
        self._packed: tuple[tuple[int, int], Tensor, list[int]] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return the convolution of x: (n, in, h, w) -> (n, out, h', w')."""
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
        """Return the weight and the padding for maps of this size; keep them for the next call."""
        size, cached_weight = (x.shape[2], x.shape[3]), self._packed
        if cached_weight is None or cached_weight[0] != size:
            weight, padding = self.weight, self.padding
            if self.is_same:
                weight, padding = self._padded_evenly(size)
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight.contiguous(memory_format=torch.channels_last), padding, self.stride,
                self.dilation, self.groups, list(x.shape),
            )  # fmt: skip
            self._packed = cached_weight = size, packed, padding  # in one step, for other threads
        return cached_weight[1:]

    def _padded_evenly(self, size: Sequence[int]) -> tuple[Tensor, list[int]]:
        """Return a weight and a symmetric padding that are equivalent to the padding "same".

        TensorFlow pads one more pixel at the end of an axis if the total is odd, while oneDNN
        supports one number per axis. A zero before the kernel shifts it by a pixel, which saves a
        padded copy of the maps.
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
        self._packed = None  # it depends on the weight before the move
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the packed weight, which cannot be copied or pickled."""
        return {**self.__dict__, "_packed": None}


def _runs_in_onednn(x: Tensor) -> bool:
    return bool(
        x.device.type == "cpu"
        and x.dtype in DTYPES
        and x.ndim == 4
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled  # a caller may have turned it off
        and not (torch.is_grad_enabled() and x.requires_grad)
    )


# --- merging ------------------------------------------------------------------------------------


def _chains(block: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """Yield parents, and the names of their modules that are called consecutively."""
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
    """Return the first module of a chain if it is an activation, and replace it by an identity."""
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
    if type(module) is Conv2dSame:  # a step of a dilated kernel is larger than a pixel
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
