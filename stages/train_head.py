"""Train the supervised head on the features of normal images and of known anomalies.

Reads   features   safetensors: `normal/train/features` (n, d), `anomaly/head/features` (m, d)
Writes  history    csv: one row per epoch: loss, accuracy
        head       safetensors: the weights of the layers 256-256-1; without anomalies no arrays,
                   and about: `missing`, the reason
"""

from pathlib import Path

import pandas as pd
import torch

from belong.detectors import mlp_head
from belong.models import device as devices
from belong.models.checkpoint import checkpoint_beside
from belong.parameters import Parameters
from belong.runtime.fingerprint import fingerprint
from belong.runtime.storage import load_arrays, names_in, save_arrays, save_csv
from belong.runtime.text import say
from stages.runner import run

NORMAL, ANOMALIES = "normal/train/features", "anomaly/head/features"


def main(params: Path, features: Path, history: Path, head: Path) -> None:
    """Train the head, and save it with its history."""
    values = Parameters.load(params)
    devices.compute_repeatably(values.threads, values.math)
    device = devices.choose(values.device)
    if ANOMALIES not in names_in(features):
        save_csv(history, pd.DataFrame(columns=["epoch", "loss", "accuracy"]))
        save_arrays(head, {}, {"missing": mlp_head.NO_ANOMALIES})
        return
    arrays = load_arrays(features, NORMAL, ANOMALIES)
    normal, anomalies = (torch.from_numpy(arrays[name]).to(device) for name in (NORMAL, ANOMALIES))
    key = fingerprint(
        values.model_dump(include={"seed", "device", "threads", "head"}), device, features
    )
    with checkpoint_beside(head, key, say) as checkpoint:
        fitted, rows = mlp_head.fit(
            normal,
            anomalies,
            generator=torch.Generator().manual_seed(values.seed),
            checkpoint=checkpoint,
            **values.head.model_dump(),
        )
        save_csv(history, pd.DataFrame(rows))
        save_arrays(head, fitted.arrays())


if __name__ == "__main__":
    run(main)
