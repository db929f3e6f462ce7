"""Compare post-hoc detectors on features of a network of your own.

    python examples/compare_detectors.py train.npz test.npz near.npz far.npz

Each file has an array `features` (n, d); the training file also has `labels` (n,), and the weight
(c, d) and bias (c,) of the last layer, if the detectors on logits are to take part. The third and
further files are sets of anomalies. Prints a scoreboard, the best mean AUROC first.
"""

import sys
from pathlib import Path

import belong

train, test, *anomalies = map(Path, sys.argv[1:])

result = belong.evaluate(train, test, {path.stem: path for path in anomalies})
board = result.scoreboard.pivot(index="detector", columns="anomalies", values="auroc")
board["mean"] = board.mean(axis=1)
print(board.sort_values("mean", ascending=False).round(4).to_string())
for name, reason in result.left_out.items():
    print(f"left out: {name}: {reason}")
