# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the data model says of a class, a field and a message."""

from __future__ import annotations

from dataclasses import dataclass
from dataclasses import field as dataclass_field
from typing import Any

from .types import Type, default

REQUIRED = object()


@dataclass(frozen=True)
class FieldSpec:
    name: str
    type: Type
    qualifier: str  # RW, SRO (constructor only), DRO (the server's own)
    initial: Any
    getter_role: Any
    setter_role: Any
    internal: bool = False
    persist: bool = True
    create: str = ""  # required, optional, or empty: not in the constructor
    removed: bool = False  # its getter and setters answer MESSAGE_REMOVED; the record still has it
    key_roles: dict[str, Any] = dataclass_field(default_factory=dict, compare=False)

    @property
    def column(self) -> str:
        """The database's own name, which query expressions and MAP_DUPLICATE_KEY use (facts 1.5, 2)."""
        return COLUMNS.get(self.name, self.name)

    def default(self) -> Any:
        if self.initial is None:
            return default(self.type)
        if self.type.kind == "float":
            # The data says 1 where the model says 1.0.
            return float(self.initial)
        return list(self.initial) if isinstance(self.initial, list) else dict(self.initial) if isinstance(self.initial, dict) else self.initial


@dataclass(frozen=True)
class ParameterSpec:
    name: str
    type: Type
    default: Any = REQUIRED


@dataclass(frozen=True)
class MessageSpec:
    cls: str
    name: str
    kind: str  # custom, or the implicit kind: get, set, add, remove, get_record, create, …
    params: tuple[ParameterSpec, ...]
    result: Type | None
    role: Any
    field: str = ""
    is_async: bool = False
    needs_session: bool = True
    removed: bool = False
    pool_internal: bool = False
    hidden: bool = False
    key_roles: dict[str, Any] = dataclass_field(default_factory=dict, compare=False)

    @property
    def wire(self) -> str:
        return f"{self.cls}.{self.name}"

    @property
    def required(self) -> int:
        return sum(1 for parameter in self.params if parameter.default is REQUIRED)


@dataclass
class ClassSpec:
    name: str
    stored: bool
    events: bool
    fields: dict[str, FieldSpec]
    messages: dict[str, MessageSpec]

    @property
    def public_fields(self) -> list[FieldSpec]:
        return [spec for spec in self.fields.values() if not spec.internal]


def _columns() -> dict[str, str]:
    """Wire name → database name of the fields that live in a namespace: one underscore becomes two (facts 2)."""
    pairs = (
        "name/label name/description memory/overhead memory/target memory/static_max memory/dynamic_max memory/dynamic_min "
        "memory/static_min memory/total memory/free memory/actual VCPUs/params VCPUs/max VCPUs/at_startup VCPUs/number VCPUs/utilisation VCPUs/CPU "
        "VCPUs/flags actions/after_shutdown actions/after_softreboot actions/after_reboot actions/after_crash PV/bootloader PV/kernel PV/ramdisk PV/args "
        "PV/bootloader_args PV/legacy_args HVM/boot_policy HVM/boot_params HVM/shadow_multiplier API_version/major "
        "API_version/minor API_version/vendor API_version/vendor_implementation io/read_kbs io/write_kbs qos/algorithm_type "
        "qos/algorithm_params qos/supported_algorithms"
    )
    return {pair.replace("/", "_", 1): pair.replace("/", "__", 1) for pair in pairs.split()}


COLUMNS = _columns()
