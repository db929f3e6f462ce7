"""torch's optimizers as they are when nothing is compiled.

Their methods ask torch's compiler to leave them alone, and to ask it they import it: 1.3 s of each
process that trains, whether or not there is anything to compile.
"""

import inspect
from typing import TypeVar

import torch
from torch.optim import Optimizer

Kind = TypeVar("Kind", bound=Optimizer)

# Those that torch wraps; besides them `step`, which it also runs without gradients.
WRAPPED = "add_param_group", "zero_grad", "state_dict", "load_state_dict"


def eager(kind: type[Kind]) -> type[Kind]:
    """Return the same optimizer, whose steps are the same to the bit, without the compiler.

    Args:
        kind: such as torch.optim.Adam; its optimizers must not be handed to `torch.compile`, nor be
            differentiable.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in WRAPPED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    uncompiled: type[Kind] = type(kind.__name__, (kind,), methods)
    return uncompiled
