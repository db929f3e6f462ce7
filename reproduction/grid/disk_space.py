"""Estimate the disk space of a grid: DVC's cache keeps the outputs of every cell."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from reproduction.grid.cells import Cell
from reproduction.grid.freshness import TARGET, upstream


def needed(stages: Mapping[str, Any], lock: Mapping[str, Any], cells: Collection[Cell]) -> int:
    """Return about how many bytes the cache grows by, if each output is as large as the last one.

    What depends on lambda is made for every cell, what depends on the seed but not on lambda for
    every pair and seed, and the rest for every pair.

    Args:
        stages: those of dvc.yaml.
        lock: those of dvc.lock; a stage that never ran counts for nothing.
        cells: what is to be run.
    """
    stages_before = upstream(stages, TARGET)
    of_weight = _behind(stages, "lambda") & stages_before
    of_seed = (_behind(stages, "seed") & stages_before) - of_weight
    return (
        len(cells) * _size(lock, of_weight)
        + len({(cell.pair, cell.seed) for cell in cells}) * _size(lock, of_seed)
        + len({cell.pair for cell in cells}) * _size(lock, stages_before - of_weight - of_seed)
    )


def free(cache: Path) -> int:
    """Return how many bytes are free on the disk of the cache, which may not be there yet."""
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return shutil.disk_usage(there).free


def _behind(stages: Mapping[str, Any], key: str) -> set[str]:
    """Return the stages whose results depend on a key of params.yaml."""
    read = {name for name, stage in stages.items() if key in stage.get("params", [])}
    return {name for name in stages if upstream(stages, name) & read}


def _size(lock: Mapping[str, Any], names: Collection[str]) -> int:
    outs = (out for name in names for out in lock.get(name, {}).get("outs", []))
    return sum(out.get("size", 0) for out in outs)
