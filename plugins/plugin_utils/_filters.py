# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the filters share: wrong input ends in one clear sentence, never in a traceback."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from ansible.errors import AnsibleFilterError

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._image_types import TYPES, ImageType

T = TypeVar("T")


def named(function: Callable[..., T]) -> Callable[..., T]:
    """Turn our errors into the filter's, with its name in front."""

    @wraps(function)
    def wrapper(*arguments: Any, **named_arguments: Any) -> T:
        try:
            return function(*arguments, **named_arguments)
        except XenError as error:
            raise AnsibleFilterError(f"xapi.xenserver.xen_{function.__name__}: {error}") from None

    return wrapper


def number(value: Any) -> int:
    """A whole number, also when it comes as text, as values of templates do."""
    try:
        whole = int(value)
    except (TypeError, ValueError):
        raise XenError(f"{value!r} is no whole number") from None
    if isinstance(value, float) and value != whole:
        raise XenError(f"{value!r} is no whole number")
    return whole


def kind(value: Any) -> ImageType | None:
    """The kind of image of a number, None for none and for a number that is none. A name instead of the number is an error."""
    return None if value in (None, "") else TYPES.get(number(value))
