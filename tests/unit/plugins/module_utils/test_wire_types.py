# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same call gives the same value over JSON-RPC and XML-RPC, against the simulator on sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.xapi.xenserver.plugins.module_utils import _wire_types
from ansible_collections.xapi.xenserver.plugins.module_utils._errors import ApiError
from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import Session, open_session
from simulator import Simulator
from simulator.engine import schema

CLASSES = ["VM", "VM_metrics", "VBD", "VDI", "VIF", "SR", "SM", "PBD", "PIF", "PIF_metrics", "network", "host", "host_cpu", "host_metrics", "pool", "console"]


@pytest.fixture(scope="module")
def sessions() -> Iterator[dict[str, Session]]:
    """A session of each protocol on one pool over TLS."""
    with Simulator("three_hosts") as simulator:
        server = simulator.serve()
        options = {
            "hostname": server.url,
            "username": server.username,
            "password": server.password,
            "validate_certs": True,
            "ca_path": str(server.ca_path),
            "connect_timeout": 10.0,
            "request_timeout": 30.0,
        }
        with (
            open_session({**options, "api_protocol": "jsonrpc"}) as json,
            open_session({**options, "api_protocol": "xmlrpc"}) as xml,
        ):
            yield {"json": json, "xml": xml}


@pytest.mark.parametrize("xen_class", CLASSES)
def test_records_are_equal(sessions: dict[str, Session], xen_class: str) -> None:
    json, xml = (session.call(f"{xen_class}.get_all_records") for session in sessions.values())
    assert json
    assert json == xml


def test_types_are_those_of_the_model(sessions: dict[str, Session]) -> None:
    """Integers are int, booleans bool and datetimes ISO text, in every field of every record of both protocols."""
    model = schema.load("8.3")
    for session in sessions.values():
        for xen_class in CLASSES:
            for record in session.call(f"{xen_class}.get_all_records").values():
                for field in model.classes[xen_class].fields.values():
                    if field.name in record:
                        assert_type(str(field.type), record[field.name], f"{xen_class}.{field.name}")


def assert_type(kind: str, value: Any, where: str) -> None:
    if kind == "int":
        assert isinstance(value, int), where
        assert not isinstance(value, bool), where
    elif kind == "bool":
        assert isinstance(value, bool), where
    elif kind == "float":
        assert isinstance(value, float), where
    elif kind == "datetime":
        assert value[4] == value[7] == "-", f"{where}: {value}"


@pytest.mark.parametrize(
    ("method", "find", "kind"),
    [
        ("host.get_API_version_major", "host", int),
        ("VM.get_memory_static_max", "VM", int),
        ("VM.get_snapshot_time", "VM", str),
        ("VM.get_is_a_template", "VM", bool),
        ("host.get_software_version", "host", dict),
        ("VM.get_name_label", "VM", str),
    ],
)
def test_getters_are_equal(sessions: dict[str, Session], method: str, find: str, kind: type) -> None:
    ref = sorted(sessions["json"].call(f"{find}.get_all"))[0]
    json, xml = (session.call(method, ref) for session in sessions.values())
    assert json == xml
    assert isinstance(json, kind)
    assert isinstance(json, bool) == (kind is bool)


def test_events_are_equal(sessions: dict[str, Session]) -> None:
    json, xml = (session.call("event.from", ["pool", "network"], "", 1.0) for session in sessions.values())
    assert json["events"]
    assert json["events"] == xml["events"]
    assert json["valid_ref_counts"].keys() == xml["valid_ref_counts"].keys()


def test_refusals_are_equal(sessions: dict[str, Session]) -> None:
    seen = []
    for session in sessions.values():
        with pytest.raises(ApiError) as caught:
            session.call("VM.get_record", "OpaqueRef:none")
        seen.append(caught.value.details)
    assert seen == [["HANDLE_INVALID", "VM", "OpaqueRef:none"]] * 2


def test_writes_with_integers_void_and_text_are_equal(sessions: dict[str, Session]) -> None:
    for session in sessions.values():
        network = session.call("network.create", {"name_label": 'a <b> & "c"', "MTU": 9000, "other_config": {"k": "é"}, "tags": ["t"]})
        assert session.call("network.set_MTU", network, 1400) == ""
        record = session.call("network.get_record", network)
        assert (record["MTU"], record["name_label"], record["other_config"]) == (1400, 'a <b> & "c"', {"k": "é"})
        assert session.call("network.destroy", network) == ""


def test_the_table_holds_every_integer_and_datetime_of_the_newest_model() -> None:
    """Derived twice: here from the simulator's data model, there written down."""
    model = schema.load("26")
    for xen_class in model.classes.values():
        if xen_class.name == "event":  # xapi sends its id as text and its timestamp as "0.0" (facts §1.9).
            continue
        for field in xen_class.fields.values():
            known = _wire_types.FIELDS.get(xen_class.name, {}).get(field.name)
            kind = str(field.type)
            integer = kind in ("int", "int set") or kind.endswith("-> int) map")
            assert known is (_wire_types.integers if integer else _wire_types.iso_time if kind == "datetime" else None), (
                f"{xen_class.name}.{field.name}: {kind}"
            )


@pytest.mark.parametrize(
    ("method", "wire", "value"),
    [
        ("VM.get_VCPUs_max", "2", 2),
        ("VM.get_VCPUs_max", 2, 2),
        ("VM.get_domid", "-1", -1),
        ("SM.get_features", {"VDI_CREATE": "1"}, {"VDI_CREATE": 1}),
        ("host.get_virtual_hardware_platform_versions", ["0", "1"], [0, 1]),
        ("VM.get_name_label", "42", "42"),
        ("VM.set_name_label", "", ""),
        ("host.get_servertime", "20261120T12:00:00Z", "2026-11-20T12:00:00Z"),
        ("VM.get_name_label", "20261120T12:00:00Z", "20261120T12:00:00Z"),
        ("host.get_server_localtime", "20261120T12:00:00", "2026-11-20T12:00:00"),
        ("Async.VM.maximise_memory", "OpaqueRef:1", "OpaqueRef:1"),
        ("VM.maximise_memory", "1048576", 1048576),
    ],
)
def test_decode(method: str, wire: Any, value: Any) -> None:
    decoded = _wire_types.decode(method, wire)
    assert decoded == value
    assert type(decoded) is type(value)
