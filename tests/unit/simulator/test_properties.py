# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any sequence of legal and illegal operations on VMs, drives, NICs, disks and snapshots leaves a pool that is right in itself.

`make test` tries a few sequences; how to try many long ones is in README.md beside this file.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from simulator import NULL, Failure

from ._consistency import SWEPT_WITHIN, Database, StandingSimulator, dangling, database, one_sided, outdated, replayed

MIB = 1024 * 1024
TEMPLATE = "Debian 12 (cloud image)"
# How a message is called, after the object itself; ?host, ?sr, ?disk stand for objects. Operation of allowed_operations → call.
VM_CALLS: dict[str, tuple[tuple[str, list[Any]], ...]] = {
    "start": (("VM.start", [False, False]), ("VM.start", [True, False])),
    "start_on": (("VM.start_on", ["?host", False, False]),),
    "pause": (("VM.pause", []),),
    "unpause": (("VM.unpause", []),),
    "suspend": (("VM.suspend", []),),
    "resume": (("VM.resume", [False, False]), ("VM.resume", [True, False])),
    "resume_on": (("VM.resume_on", ["?host", False, False]),),
    "clean_shutdown": (("VM.clean_shutdown", []),),
    "clean_reboot": (("VM.clean_reboot", []),),
    "hard_shutdown": (("VM.hard_shutdown", []),),
    "hard_reboot": (("VM.hard_reboot", []),),
    "clone": (("VM.clone", ["cloned"]),),
    "copy": (("VM.copy", ["copied", NULL]), ("VM.copy", ["copied", "?sr"])),
    "snapshot": (("VM.snapshot", ["snapshot"]),),
    "checkpoint": (("VM.checkpoint", ["checkpoint"]),),
    "revert": (("VM.revert", []),),
    "provision": (("VM.provision", []),),
    "destroy": (("VM.destroy", []),),
    "make_into_template": (("VM.set_is_a_template", [True]),),
    "pool_migrate": (("VM.pool_migrate", ["?host", {}]),),
}
VIF_CALLS: dict[str, tuple[tuple[str, list[Any]], ...]] = {
    "plug": (("VIF.plug", []),),
    # By force is no operation of its own (datamodel, vif_operations).
    "unplug": (("VIF.unplug", []), ("VIF.unplug_force", [])),
}
VBD_CALLS: dict[str, tuple[tuple[str, list[Any]], ...]] = {
    "plug": (("VBD.plug", []),),
    "unplug": (("VBD.unplug", []),),
    "unplug_force": (("VBD.unplug_force", []),),
    "insert": (("VBD.insert", ["?disk"]),),
    "eject": (("VBD.eject", []),),
}
VDI_CALLS: dict[str, tuple[tuple[str, list[Any]], ...]] = {
    "snapshot": (("VDI.snapshot", []),),
    "clone": (("VDI.clone", []),),
    "copy": (("VDI.copy", ["?sr"]),),
    "resize": (("VDI.resize", [8 * MIB]), ("VDI.resize", [MIB]), ("VDI.resize", [5120 * MIB])),
    "destroy": (("VDI.destroy", []),),
    "forget": (("VDI.forget", []),),
}
CALLS = {"VM": VM_CALLS, "VBD": VBD_CALLS, "VDI": VDI_CALLS, "VIF": VIF_CALLS}
# Calls that no allowed_operations speaks of.
OTHERS: tuple[tuple[str, list[Any]], ...] = (
    ("VM.shutdown", []),
    ("VM.power_state_reset", []),
    ("VM.set_name_label", ["renamed"]),
    ("VBD.destroy", []),
    ("VIF.destroy", []),
    ("VIF.set_locking_mode", ["locked"]),
    ("VIF.move", ["?network"]),
    ("VBD.set_mode", ["RO"]),
    ("VBD.set_mode", ["RW"]),
    ("VBD.set_bootable", [True]),
    ("VDI.set_name_label", ["renamed"]),
    ("VDI.set_sharable", [True]),
    ("VDI.set_sharable", [False]),
    ("SR.scan", []),
)
# After these nobody looks at what the disks allow that a drive has let go (message_forwarding.ml, update_vbd_and_vdi_operations asks the
# drive which disk it has, after it was emptied; devices go by their rows alone in xapi_vm_helpers.ml), so they are asked for here.
FREEING = {"VBD.eject", "VM.destroy", "VM.revert"}
WHOLE = st.integers(min_value=0, max_value=99)


# Refusals of operations that allowed_operations lists: what it does not look at (facts 3.2 to 3.6). Operation → codes.
STARTING = {"VDI_IN_USE", "VDI_READONLY", "VDI_NOT_MANAGED", "DISK_VBD_MUST_BE_READWRITE_FOR_HVM"}
# Whether there is a host for it, or this one will do.
PLACING = {"NO_HOSTS_AVAILABLE", "VM_REQUIRES_SR", "VM_REQUIRES_NETWORK", "HOST_NOT_ENOUGH_FREE_MEMORY"}
# Each disk is asked when its turn comes (xapi_vm_clone.ml, safe_clone_disks): one on an ISO SR, or a base copy; for a snapshot one that
# several VMs may write to (xapi_vdi.ml, check_operation_error).
DUPLICATING = {"SR_OPERATION_NOT_SUPPORTED", "VDI_NOT_MANAGED"}
BEYOND: dict[str, set[str]] = {
    **dict.fromkeys(("VM.start", "VM.start_on", "VM.resume", "VM.resume_on"), STARTING | PLACING),
    **dict.fromkeys(("VM.snapshot", "VM.checkpoint"), PLACING | DUPLICATING | {"VDI_IS_SHARABLE"}),
    "VM.pool_migrate": PLACING,
    # Of the VM that it is a snapshot of, which may have become a template.
    "VM.revert": {"VM_IS_TEMPLATE"},
    "VM.clone": DUPLICATING,
    # One that was made no template is one of xapi's all the same.
    "VM.destroy": {"VM_CANNOT_DELETE_DEFAULT_TEMPLATE"},
    # An ISO SR makes no disks; a disk in use by another VM is not copied.
    "VM.copy": {"OPERATION_NOT_ALLOWED", "VDI_IN_USE", *DUPLICATING, *PLACING},
    # Base copies belong to the SR alone.
    "VDI.snapshot": {"VDI_NOT_MANAGED"},
    "VDI.clone": {"VDI_NOT_MANAGED"},
    "VDI.destroy": {"VDI_NOT_MANAGED"},
    "VDI.copy": {"VDI_NOT_MANAGED", "SR_OPERATION_NOT_SUPPORTED"},
    # 79: a VHD does not shrink.
    "VDI.resize": {"VDI_NOT_MANAGED", "SR_BACKEND_FAILURE_79"},
    # Who else uses the disk is not looked at for the list.
    "VBD.plug": {"VDI_IN_USE", "VDI_READONLY", "DISK_VBD_MUST_BE_READWRITE_FOR_HVM"},
    "VBD.insert": {"VDI_IN_USE", "VDI_READONLY", "VDI_NOT_MANAGED"},
}


# What clients of event.from watch.
WATCHED = (("*",), ("VM", "VBD"), ("VDI",), ("task", "message", "vif"), ("SR", "pool", "host", "console", "VM_guest_metrics"))


class Client(NamedTuple):
    """What a client of event.from watches, how far it has read, and what it knows by that."""

    watched: tuple[str, ...]
    token: str
    known: Database


def of(watched: tuple[str, ...], records: Database) -> Database:
    """What a client that watches these sees of a database."""
    classes = {name.lower() for name in watched}
    return {key: record for key, record in records.items() if "*" in classes or key[0] in classes}


class Pool(RuleBasedStateMachine):
    """Objects are picked by number among those of their class, those that are gone included."""

    @initialize()
    def start(self) -> None:
        self.simulator = StandingSimulator("three_hosts")
        self.session = self.simulator.session()
        self.gone: dict[str, list[str]] = {cls: [] for cls in CALLS}
        self.removed_lately = False
        self.tokens: list[Client] = []
        self.watcher = Client(("*",), "", {})
        (template,) = self.session.VM.get_by_name_label(TEMPLATE)
        self.session.VM.provision(self.session.VM.clone(template, "first"))

    def teardown(self) -> None:
        if hasattr(self, "simulator"):
            self.simulator.close()
            assert self.simulator.problems == []

    # Picking

    def pick(self, cls: str, number: int) -> str:
        """An object of the class: usually a live one."""
        live = self.candidates(cls)
        gone = [*self.gone.get(cls, [])[-3:], NULL]
        if number % 13 == 7 or not live:
            return gone[number % len(gone)]
        return live[number % len(live)]

    def candidates(self, cls: str) -> list[str]:
        refs = self.simulator.engine.db.refs(cls)
        if cls != "VM":
            return refs
        rows = self.simulator.engine.db.tables["VM"].rows
        default = [ref for ref in refs if rows[ref]["is_default_template"]]
        own = [ref for ref in refs if rows[ref]["is_control_domain"]]
        return [ref for ref in refs if ref not in default[1:] and ref not in own[1:] and not self.is_hollow(ref)]

    def is_hollow(self, vm: str) -> bool:
        """A template that was provisioned again has no metrics, and xapi notes nothing of its domain (test_vm_rules.py): no rule holds for it."""
        row = self.simulator.engine.db.row("VM", vm)
        return row["metrics"] == NULL and not row["is_a_template"]

    def filled(self, arguments: list[Any], number: int) -> list[Any]:
        classes = {"?host": "host", "?sr": "SR", "?disk": "VDI", "?network": "network"}
        return [self.pick(classes[a], number) if isinstance(a, str) and a in classes else a for a in arguments]

    # Calling

    def call(self, message: str, *arguments: Any) -> tuple[bool, Any]:
        """Whether it was done, and what it answered: a result, or the refusal."""
        before = {cls: self.simulator.engine.db.refs(cls) for cls in self.gone}
        done, answer = self._answer(message, arguments)
        if message in FREEING:
            self.look_again("VDI", *self.simulator.engine.db.refs("VDI"))
        for cls, refs in before.items():
            gone = set(refs) - set(self.simulator.engine.db.refs(cls))
            self.gone[cls] += [ref for ref in refs if ref in gone]
            self.removed_lately |= bool(gone)
        assert done or answer[0] != "INTERNAL_ERROR", f"{message}{arguments}: {answer}"
        return done, answer

    def _answer(self, message: str, arguments: tuple[Any, ...]) -> tuple[bool, Any]:
        try:
            return True, self.session.call(message, *arguments)
        except Failure as failure:
            return False, failure.description

    def look_again(self, cls: str, *refs: str) -> None:
        """Have the lists of operations made anew that xapi leaves as they are."""
        for ref in refs:
            self.simulator.engine.operations.again(cls, ref)

    def allowed(self, cls: str, ref: str) -> list[str]:
        if not self.simulator.engine.db.get(cls, ref, "allowed_operations"):
            # A drive that came with a copy of its VM has an empty list until something is done to it.
            self.look_again(cls, ref)
        listed: list[str] = self.session.call(f"{cls}.get_allowed_operations", ref)
        return listed

    def operate(self, cls: str, ref: str, op: str, form: int) -> None:
        """An operation is accepted when allowed_operations listed it, refused when not."""
        forms = CALLS[cls][op]
        message, arguments = forms[form % len(forms)]
        there = self.simulator.engine.db.exists(cls, ref)
        allowed = self.allowed(cls, ref) if there else []
        done, answer = self.call(message, ref, *self.filled(arguments, form))
        told = f"{message} of {ref}, which allows {sorted(allowed)}, answered {answer}"
        if not there:
            assert not done, told
            assert answer == ["HANDLE_INVALID", cls, ref], told
        elif op in allowed:
            another = not done and answer[0] == "HANDLE_INVALID" and answer[2] != ref
            assert done or another or answer[0] in BEYOND.get(f"{cls}.{op}", ()), told
        else:
            assert not done, told

    @rule(cls=st.sampled_from(sorted(CALLS)), number=WHOLE, op=WHOLE, form=WHOLE)
    def any_operation(self, cls: str, number: int, op: int, form: int) -> None:
        names = sorted(CALLS[cls])
        self.operate(cls, self.pick(cls, number), names[op % len(names)], form)

    @rule(number=WHOLE, steps=st.lists(st.tuples(WHOLE, WHOLE), min_size=3, max_size=6))
    def life(self, number: int, steps: list[tuple[int, int]]) -> None:
        """A VM does what it allows, one after the other, so that much happens."""
        vm = self.pick("VM", number)
        for op, form in steps:
            self.choose("VM", vm, op, form, listed=True)
            self.consistent()

    @rule(cls=st.sampled_from(["VBD", "VDI", "VIF"]), steps=st.lists(st.tuples(WHOLE, WHOLE, WHOLE), min_size=2, max_size=4))
    def devices(self, cls: str, steps: list[tuple[int, int, int]]) -> None:
        """So do its drives, its NICs and their disks."""
        for number, op, form in steps:
            self.choose(cls, self.pick(cls, number), op, form, listed=True)
            self.consistent()

    @rule(steps=st.lists(st.tuples(st.sampled_from(sorted(CALLS)), WHOLE, WHOLE, WHOLE), min_size=3, max_size=6))
    def unlisted(self, steps: list[tuple[str, int, int, int]]) -> None:
        """What objects do not allow, so that it is seen that it is refused."""
        for cls, number, op, form in steps:
            self.choose(cls, self.pick(cls, number), op, form, listed=False)
            self.consistent()

    def choose(self, cls: str, ref: str, op: int, form: int, *, listed: bool) -> None:
        """One of the operations that the object lists, or one of the others."""
        if self.simulator.engine.db.exists(cls, ref) and not (cls == "VM" and self.is_hollow(ref)):
            allowed = self.allowed(cls, ref)
            names = sorted(name for name in CALLS[cls] if (name in allowed) == listed)
            if names:
                self.operate(cls, ref, names[op % len(names)], form)

    @rule(number=WHOLE, what=st.sampled_from(OTHERS))
    def other(self, number: int, what: tuple[str, list[Any]]) -> None:
        message, arguments = what
        self.call(message, self.pick(message.partition(".")[0], number), *self.filled(arguments, number))

    @rule(
        vm=WHOLE,
        vdi=WHOLE,
        device=st.sampled_from(["autodetect", "0", "1", "3", "xvdb", "xvdd", "nonsense"]),
        kind=st.sampled_from(
            [("Disk", "RW", False), ("Disk", "RO", False), ("CD", "RO", True), ("CD", "RO", False), ("CD", "RW", False), ("Disk", "RW", True)]
        ),
    )
    def create_vbd(self, vm: int, vdi: int, device: str, kind: tuple[str, str, bool]) -> None:
        type_, mode, empty = kind
        record = {"VM": self.pick("VM", vm), "VDI": NULL if empty else self.pick("VDI", vdi), "userdevice": device, "bootable": False, "mode": mode}
        done, answer = self.call(
            "VBD.create", {**record, "type": type_, "empty": empty, "other_config": {}, "qos_algorithm_type": "", "qos_algorithm_params": {}}
        )
        assert not (done and device == "nonsense"), answer

    @rule(sr=WHOLE, size=st.sampled_from([MIB, 4 * MIB]), sharable=st.booleans())
    def create_vdi(self, sr: int, size: int, sharable: bool) -> None:
        self.call(
            "VDI.create",
            {"SR": self.pick("SR", sr), "virtual_size": size, "type": "user", "sharable": sharable, "read_only": False, "other_config": {}},
        )

    @rule(vm=WHOLE, network=WHOLE, device=st.sampled_from(["0", "1", "6", "7", "-1", "nonsense"]), mac=st.sampled_from(["", "00:16:3e:00:00:01", "none"]))
    def create_vif(self, vm: int, network: int, device: str, mac: str) -> None:
        record = {"VM": self.pick("VM", vm), "network": self.pick("network", network), "device": device, "MAC": mac, "MTU": 1500, "other_config": {}}
        done, answer = self.call("VIF.create", {**record, "qos_algorithm_type": "", "qos_algorithm_params": {}, "locking_mode": "network_default"})
        assert not (done and (device == "nonsense" or mac == "none")), answer

    @rule(seconds=st.sampled_from([1, 10, 400]))
    def time_passes(self, seconds: int) -> None:
        """Guests report, disks are coalesced, the collector runs."""
        self.simulator.let_pass(float(seconds))
        if seconds >= SWEPT_WITHIN:
            self.removed_lately = False

    @rule(number=WHOLE)
    def no_template(self, number: int) -> None:
        """xapi leaves the operations of what it made no template as they were (message_forwarding.ml), so they are asked for here."""
        vm = self.pick("VM", number)
        if self.call("VM.set_is_a_template", vm, False)[0]:
            self.session.VM.update_allowed_operations(vm)

    @rule(create=st.booleans())
    def task(self, create: bool) -> None:
        """A change that brings no other change with it: what a token is about is that one alone."""
        tasks = self.simulator.engine.db.refs("task")
        if create or not tasks:
            self.session.task.create("by hand", "")
        else:
            self.call("task.destroy", tasks[-1])

    # Events

    @precondition(lambda self: len(getattr(self, "tokens", [])) < 4)
    @rule(watched=st.sampled_from(WATCHED), injected=st.none() | WHOLE)
    def remember(self, watched: tuple[str, ...], injected: int | None) -> None:
        """A client that knows all there is now of what it watches: from its first batch, or with a token that it asked for before (npm xen-api)."""
        if injected is None:
            batch = self.session.event.from_([*watched], "", 0.0)
            self.tokens.append(Client(watched, batch["token"], replayed({}, batch["events"])))
            return
        token = self.session.event.inject("VM", self.candidates("VM")[injected % len(self.candidates("VM"))])
        # That token is before all alerts.
        known = {key: record for key, record in database(self.simulator).items() if key[0] != "message"}
        self.tokens.append(Client(watched, token, of(watched, known)))

    @precondition(lambda self: bool(getattr(self, "tokens", [])))
    @rule(number=WHOLE, stay=st.booleans())
    def follow(self, number: int, stay: bool) -> None:
        """From whichever token, the events since then lead to the same database; so do those from the next token on."""
        at = number % len(self.tokens)
        now = self.followed(self.tokens[at], database(self.simulator))
        if not stay:
            self.tokens[at] = now

    def followed(self, client: Client, actual: Database) -> Client:
        """A client after its next batch of events."""
        batch = self.session.event.from_([*client.watched], client.token, 0.0)
        now = replayed(client.known, batch["events"])
        watched = of(client.watched, actual)
        assert now.keys() == watched.keys()
        assert {key: (now[key], watched[key]) for key in watched if now[key] != watched[key]} == {}
        counts = Counter(cls for cls, _unused in actual if cls != "message")
        assert {cls: batch["valid_ref_counts"][cls] for cls in counts} == counts
        return Client(client.watched, batch["token"], now)

    # Invariants

    @invariant()
    def consistent(self) -> None:
        if not hasattr(self, "simulator"):
            return
        records = database(self.simulator)
        assert one_sided(self.simulator, records) == []
        assert dangling(self.simulator, records, swept=not self.removed_lately) == []
        assert outdated(self.simulator) == []
        # One client misses no step, so that each is followed by itself; those of `remember` see many at once.
        self.watcher = self.followed(self.watcher, records)


DEEP = settings.get_current_profile_name() == "deep"
# The few are always the same, so that a change is judged by itself; the many are new ones every time.
LENGTHS: dict[str, Any] = {} if DEEP else {"max_examples": 25, "stateful_step_count": 30, "derandomize": True, "database": None}
Pool.TestCase.settings = settings(**LENGTHS, deadline=None, suppress_health_check=list(HealthCheck))
TestPool = Pool.TestCase
