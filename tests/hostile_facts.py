"""Change a fact in the manifest of a hostile model or panel."""

from collections.abc import Callable
from typing import Any


def fact(*keys: str, value: Any) -> Callable[[dict[str, Any]], object]:
    """Return a function that sets the value below nested keys."""

    def change(values: dict[str, Any]) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return change
