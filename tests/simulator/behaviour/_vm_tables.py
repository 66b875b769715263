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

# Operations that 8.2 does not list either: it has its own list of what it does (xapi_vm_lifecycle.ml of v1.249).
NEVER_LISTED_IN_8_2 = NEVER_LISTED | {"metadata_export"}

# Sets of operations that run beside each other, and single ones that run beside a state.
TOGETHER = ({"clone", "copy", "export"}, {"get_boot_record"}, {"snapshot", "checkpoint"})
BESIDE = {("snapshot_with_quiesce", "snapshot"), ("migrate_send", "metadata_export"), ("migrate_send", "clean_shutdown"), ("migrate_send", "clean_reboot")}

BESIDE_IN_8_2 = BESIDE | {("migrate_send", "start"), ("migrate_send", "start_on")}

# What runs while the pool's hosts are of different versions (rpu_allowed_vm_operations in xapi_globs.ml).
WHILE_UPGRADING = frozenset(
    words(
        "assert_operation_valid changing_memory_live changing_shadow_memory_live changing_VCPUs_live clean_reboot clean_shutdown clone copy csvm "
        "destroy export get_boot_record hard_reboot hard_shutdown import make_into_template migrate_send pause pool_migrate power_state_reset "
        "provision resume resume_on send_sysrq send_trigger start start_on suspend unpause update_allowed_operations"
    )
)

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
