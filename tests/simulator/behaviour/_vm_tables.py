# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations of VMs: when each is allowed, beside what, on what, and what it needs of the guest (facts 3.2)."""

from __future__ import annotations

from ._words import words

EVERY_STATE = ("Halted", "Paused", "Running", "Suspended")

# Operation → the power states it needs, in the order in which the refusal lists them.
POWER_STATES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        words("start start_on provision make_into_template changing_NVRAM changing_shadow_memory create_vtpm"),
        ("Halted",),
    ),
    "changing_dynamic_range": ("Halted", "Running"),
    "import": (),
    "unpause": ("Paused",),
    **dict.fromkeys(words("resume resume_on csvm"), ("Suspended",)),
    **dict.fromkeys(
        words(
            "pause suspend clean_shutdown clean_reboot pool_migrate changing_VCPUs_live changing_memory_live awaiting_memory_live "
            "changing_shadow_memory_live call_plugin data_source_op send_sysrq send_trigger sysprep snapshot_with_quiesce"
        ),
        ("Running",),
    ),
    "hard_reboot": ("Paused", "Running"),
    **dict.fromkeys(words("hard_shutdown shutdown checkpoint get_boot_record"), ("Paused", "Suspended", "Running")),
    "migrate_send": ("Halted", "Suspended", "Running"),
    **dict.fromkeys(words("destroy export create_template"), ("Halted", "Suspended")),
    **dict.fromkeys(
        words("snapshot revert reverting metadata_export power_state_reset query_services update_allowed_operations assert_operation_valid"),
        EVERY_STATE,
    ),
}
# Control domains take these while they run, too.
RESIZING = ("changing_VCPUs", "changing_static_range", "changing_memory_limits")
COPYING = ("clone", "copy")

# Operations that never stand in allowed_operations, allowed or not.
NEVER_LISTED = frozenset(
    words(
        "create_template power_state_reset csvm get_boot_record send_sysrq send_trigger query_services shutdown call_plugin "
        "changing_memory_live awaiting_memory_live changing_memory_limits changing_shadow_memory_live changing_VCPUs "
        "assert_operation_valid data_source_op update_allowed_operations import reverting"
    )
)

# Sets of operations that run beside each other, and single ones that run beside a state.
TOGETHER = ({"clone", "copy", "export"}, {"get_boot_record"}, {"snapshot", "checkpoint"})
BESIDE = {("snapshot_with_quiesce", "snapshot"), ("migrate_send", "metadata_export"), ("migrate_send", "clean_shutdown"), ("migrate_send", "clean_reboot")}

ON_TEMPLATES = frozenset(
    words(
        "changing_dynamic_range changing_static_range changing_memory_limits changing_shadow_memory changing_VCPUs changing_NVRAM "
        "clone copy export metadata_export provision"
    )
)
ON_CUSTOM_TEMPLATES = ON_TEMPLATES | {"destroy", "migrate_send"}
ON_SNAPSHOTS = frozenset(words("revert clone copy export destroy hard_shutdown metadata_export"))
ON_CONTROL_DOMAINS = frozenset(
    words(
        "data_source_op changing_memory_live awaiting_memory_live metadata_export changing_dynamic_range changing_memory_limits "
        "changing_static_range start start_on changing_VCPUs destroy"
    )
)

MOVING = ("suspend", "checkpoint", "pool_migrate", "migrate_send")
# Operation → features of which the guest must offer one when nothing says that it has PV drivers.
GUEST_FEATURES: dict[str, tuple[str, ...]] = {
    "clean_shutdown": ("feature-shutdown", "feature-poweroff"),
    "clean_reboot": ("feature-shutdown", "feature-reboot"),
    "changing_VCPUs_live": ("feature-vcpu-hotplug",),
    **dict.fromkeys(MOVING, ("feature-suspend",)),
}
EVEN_IF_FORCED = ("changing_VCPUs_live",)

# How refusals spell an operation, where that is not its name: xapi's table has other names for two and lacks some (Record_util).
SPELLINGS = {
    "assert_operation_valid": "assertoperationvalid",
    "data_source_op": "data_sources_op",
    **dict.fromkeys(words("changing_memory_limits changing_VCPUs create_template query_services sysprep"), "(unknown operation)"),
}
