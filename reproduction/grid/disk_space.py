"""Estimate the disk space of a grid: DVC's cache keeps the outputs of every cell."""

import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from reproduction.grid.cells import Cell
from reproduction.grid.freshness import TARGET, upstream


def needed(stages: Mapping[str, Any], lock: Mapping[str, Any], cells: Collection[Cell]) -> int:
    """Estimate the bytes by which the cache grows, if each output is as large as the last one.

    Outputs that depend on lambda are made for every cell, outputs that depend on the seed but not
    on lambda for every pair and seed, and all others for every pair.

    Args:
        stages: those of dvc.yaml.
        lock: those of dvc.lock; a stage that never ran counts as 0 bytes.
        cells: the cells to be run.
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
    """Return the free bytes on the disk of the cache, which may not exist yet."""
    there = next(folder for folder in (cache, *cache.parents) if folder.exists())
    return shutil.disk_usage(there).free


def _behind(stages: Mapping[str, Any], key: str) -> set[str]:
    """Return the stages whose results depend on a key of params.yaml."""
    read = {name for name, stage in stages.items() if key in stage.get("params", [])}
    return {name for name in stages if upstream(stages, name) & read}


def _size(lock: Mapping[str, Any], names: Collection[str]) -> int:
    outs = (out for name in names for out in lock.get(name, {}).get("outs", []))
    return sum(out.get("size", 0) for out in outs)
