# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The session on real sockets: protocols, trust, drops, time-outs, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import XenAPI

from ansible_collections.xapi.xenserver.plugins.module_utils._errors import ApiError, XenError
from ansible_collections.xapi.xenserver.plugins.module_utils._http import Endpoint, HttpOptions, open_connection
from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import ORIGINATOR, is_read, open_session

from .stub import DROP, PAGE, SESSION, SILENCE, Certificate, Refuse, Stub, Turns

LOGIN, LOGOUT = "session.login_with_password", "session.logout"


def params(url: str, **more: Any) -> dict[str, Any]:
    """Connection options as AnsibleModule fills them in."""
    defaults = {"username": "root", "password": "secret", "session_id": None, "validate_certs": True, "ca_path": None, "fingerprint": None}
    return {**defaults, "api_protocol": "jsonrpc", "connect_timeout": 3.0, "request_timeout": 3.0, "hostname": url, **more}


def refuse(*details: str) -> Any:
    def answer(_params: Any) -> Any:
        raise Refuse(*details)

    return answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def tls(certificate: Certificate) -> Iterator[Stub]:
    with Stub({"VM.get_all": ["OpaqueRef:1"]}, tls=certificate.context) as stub:
        yield stub


def failure(options: dict[str, Any]) -> str:
    with pytest.raises(XenError) as caught, open_session(options):
        pass
    text = str(caught.value)
    assert "\n" not in text
    assert "secret" not in text
    return text


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "url"),
        [
            ("xen1", "https://xen1"),
            ("xen1:8443", "https://xen1:8443"),
            ("https://xen1/", "https://xen1"),
            ("http://xen1:8080", "http://xen1:8080"),
            ("http://xen1:80/jsonrpc", "http://xen1"),
            ("192.0.2.1", "https://192.0.2.1"),
            ("2001:db8::1", "https://[2001:db8::1]"),
            ("[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ],
    )
    def test_is_understood(self, text: str, url: str) -> None:
        assert Endpoint.parse(text).url == url

    @pytest.mark.parametrize("text", ["ftp://xen1", "https://", "https://root:secret@xen1", "xen1:port", "https://xen1:99999"])
    def test_is_refused(self, text: str) -> None:
        with pytest.raises(XenError, match="is no address"):
            Endpoint.parse(text)

    def test_member_has_the_same_trust_and_port(self) -> None:
        options = HttpOptions.from_params(params("https://127.0.0.1:8443"))
        assert options.to("127.0.0.2").endpoint.url == "https://127.0.0.2:8443"
        assert options.to("2001:db8::1").endpoint.url == "https://[2001:db8::1]:8443"
        assert options.to("https://xen2/import_raw_vdi?vdi=x").endpoint.url == "https://xen2"

    def test_member_named_by_plain_http_does_not_lead_out_of_tls(self) -> None:
        options = HttpOptions.from_params(params("https://127.0.0.1:8443"))
        assert options.to("http://127.0.0.2/import_raw_vdi").endpoint.url == "https://127.0.0.2:8443"
        assert HttpOptions.from_params(params("http://xen1")).to("http://xen2:8080/").endpoint.url == "http://xen2:8080"


class TestLife:
    def test_logs_in_with_its_own_originator_and_out(self) -> None:
        with Stub({"VM.get_all": ["OpaqueRef:1"]}) as stub:
            with open_session(params(stub.url)) as session:
                assert (session.ref, session.url) == (SESSION, stub.url)
                assert session.call("VM.get_all") == ["OpaqueRef:1"]
            assert stub.received == [LOGIN, "VM.get_all", LOGOUT]
            assert stub.params == [["root", "secret", "1.0", ORIGINATOR], [SESSION], [SESSION]]
            assert stub.connections == 1

    def test_logs_out_on_failure(self) -> None:
        with Stub() as stub:
            with pytest.raises(ZeroDivisionError), open_session(params(stub.url)):
                raise ZeroDivisionError
            assert stub.received == [LOGIN, LOGOUT]

    def test_a_failing_logout_hides_nothing(self) -> None:
        with Stub({LOGOUT: DROP}) as stub, pytest.raises(ZeroDivisionError), open_session(params(stub.url)):
            raise ZeroDivisionError

    def test_a_given_session_is_used_and_left_open(self) -> None:
        with Stub({"VM.get_all": []}) as stub:
            with open_session(params(stub.url, session_id="OpaqueRef:given", password=None)) as session:
                session.call("VM.get_all")
            assert (stub.received, stub.params) == (["VM.get_all"], [["OpaqueRef:given"]])

    def test_sigterm_logs_out_and_still_ends_the_process(self) -> None:
        script = f"""
            import os, signal, sys
            from ansible_collections.xapi.xenserver.plugins.module_utils.xenapi_session import open_session
            with open_session({{**{params("URL")!r}, "hostname": sys.argv[1]}}) as session:
                os.kill(os.getpid(), signal.SIGTERM)
                session.call("VM.get_all")
        """
        with Stub({"VM.get_all": SILENCE}) as stub:
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            ended = subprocess.run([sys.executable, "-c", textwrap.dedent(script), stub.url], env=environment, timeout=20, check=False)
            assert ended.returncode == -signal.SIGTERM
            assert stub.received[-1] == LOGOUT

    def test_sigterm_means_what_it_meant_before(self) -> None:
        earlier = signal.getsignal(signal.SIGTERM)
        with Stub() as stub, open_session(params(stub.url)):
            assert signal.getsignal(signal.SIGTERM) is not earlier
        assert signal.getsignal(signal.SIGTERM) is earlier


class TestSessionThatThePoolEnded:
    """A toolstack that restarts forgets its sessions (driver-operations §1: at most three logins more)."""

    ENDED = ("SESSION_INVALID", SESSION)

    @pytest.mark.parametrize("protocol", ["jsonrpc", "xmlrpc"])
    def test_is_opened_anew_and_the_call_repeated(self, protocol: str) -> None:
        with Stub({"VM.start": Turns([refuse(*self.ENDED), ""])}) as stub:
            with open_session(params(stub.url, api_protocol=protocol)) as session:
                session.call("VM.start", "OpaqueRef:1", False, False)
            assert stub.received == [LOGIN, "VM.start", LOGIN, "VM.start", LOGOUT]

    def test_is_given_up_after_three(self) -> None:
        with Stub({"VM.get_all": refuse(*self.ENDED)}) as stub:
            with open_session(params(stub.url)) as session, pytest.raises(ApiError, match="the session has ended"):
                session.call("VM.get_all")
            assert stub.received == [LOGIN, *["VM.get_all", LOGIN] * 3, "VM.get_all", LOGOUT]

    def test_of_somebody_else_is_told(self) -> None:
        with Stub({"VM.get_all": refuse(*self.ENDED)}) as stub:
            with open_session(params(stub.url, session_id=SESSION)) as session, pytest.raises(ApiError, match="the session has ended"):
                session.call("VM.get_all")
            assert stub.received == ["VM.get_all"]

    def test_of_another_pool_is_told(self) -> None:
        """A call that was given the session of another pool, as VM.migrate_send is, may have done something already."""
        with Stub({"VM.migrate_send": refuse("SESSION_INVALID", "OpaqueRef:other")}) as stub:
            with open_session(params(stub.url)) as session, pytest.raises(ApiError):
                session.call("VM.migrate_send", "OpaqueRef:1")
            assert stub.received == [LOGIN, "VM.migrate_send", LOGOUT]


class TestCoordinator:
    def test_is_followed_once(self) -> None:
        with Stub() as coordinator:
            # xapi names a bare address; the whole URL stands in for it here because two stubs cannot share a port.
            with Stub({LOGIN: refuse("HOST_IS_SLAVE", coordinator.url)}) as member, open_session(params(member.url)) as session:
                assert session.url == coordinator.url
            assert (member.received, coordinator.received) == ([LOGIN], [LOGIN, LOGOUT])

    def test_is_not_followed_twice(self) -> None:
        with Stub({LOGIN: refuse("HOST_IS_SLAVE", "127.0.0.1")}) as member:
            assert "set hostname to 127.0.0.1" in failure(params(member.url))
            assert member.received == [LOGIN, LOGIN]


class TestRefusal:
    def test_is_an_api_error_and_a_failure_of_xenapi(self) -> None:
        with Stub({"VM.start": refuse("VM_BAD_POWER_STATE", "OpaqueRef:1", "halted", "running")}) as stub:
            for kind in (ApiError, XenAPI.Failure):
                with pytest.raises(kind) as caught, open_session(params(stub.url)) as session:
                    session.call("VM.start", "OpaqueRef:1", False, False)
                assert caught.value.details == ["VM_BAD_POWER_STATE", "OpaqueRef:1", "halted", "running"]
                assert str(caught.value) == "the VM must be halted for this, but it is running; use xen_power first [VM_BAD_POWER_STATE]"

    def test_outside_of_dispatch_is_a_plain_array(self) -> None:
        answer = b'{"jsonrpc":"2.0","error":["HOST_STILL_BOOTING","OpaqueRef:1"],"id":0}'
        with Stub({LOGIN: answer}) as stub:
            assert "still starting its toolstack" in failure(params(stub.url))


class TestDrops:
    def test_a_read_is_sent_again(self) -> None:
        with Stub({"VM.get_all": Turns([DROP, DROP, ["OpaqueRef:1"]])}) as stub, open_session(params(stub.url)) as session:
            assert session.call("VM.get_all") == ["OpaqueRef:1"]
            assert stub.received.count("VM.get_all") == 3

    def test_a_read_is_given_up_after_three(self) -> None:
        with Stub({"VM.get_all": DROP}) as stub, open_session(params(stub.url)) as session:
            with pytest.raises(XenError, match=r"broke during VM.get_all .*; tried 3 times; check the network"):
                session.call("VM.get_all")
            assert stub.received.count("VM.get_all") == 3

    @pytest.mark.parametrize("protocol", ["jsonrpc", "xmlrpc"])
    @pytest.mark.parametrize("method", ["VM.start", "Async.VM.start", "network.create", "VM.set_name_label"])
    def test_a_write_is_never_sent_twice(self, method: str, protocol: str) -> None:
        with Stub({method: DROP}) as stub, open_session(params(stub.url, api_protocol=protocol)) as session:
            with pytest.raises(XenError, match="may or may not have been carried out; look at the pool"):
                session.call(method, "OpaqueRef:1")
            assert stub.received.count(method) == 1

    def test_a_login_is_not_sent_twice(self) -> None:
        with Stub({LOGIN: DROP}) as stub:
            failure(params(stub.url))
            assert stub.received == [LOGIN]

    def test_a_connection_closed_while_idle_is_replaced_before_a_write(self) -> None:
        """Nothing was sent on the dead connection, so the write may go out on a new one."""
        with Stub({"VM.start": ""}) as stub, open_session(params(stub.url)) as session:
            transport: Any = session._transport
            transport._channel._connection.sock.shutdown(socket.SHUT_RDWR)
            assert session.call("VM.start", "OpaqueRef:1") == ""
            assert (stub.received.count("VM.start"), stub.connections) == (1, 2)

    @pytest.mark.parametrize(
        ("method", "read"),
        [
            ("VM.get_record", True),
            ("event.from", True),
            ("VM.assert_can_boot_here", True),
            ("VM.start", False),
            ("Async.VM.assert_can_migrate", False),
            ("session.login_with_password", False),
            ("task.destroy", False),
            ("VM.clone", False),
        ],
    )
    def test_what_is_a_read(self, method: str, read: bool) -> None:
        assert is_read(method) is read


class TestTrust:
    def test_unknown_authority(self, tls: Stub) -> None:
        text = failure(params(tls.url))
        assert text == f"the certificate of 127.0.0.1:{tls.port} is not signed by a CA that this machine trusts; give ca_path, or pin it with fingerprint"
        assert tls.received == []

    def test_other_authority(self, tls: Stub, tmp_path: Path) -> None:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        text = failure(params(tls.url, ca_path=str(other)))
        assert text == (
            f"the certificate of 127.0.0.1:{tls.port} is not signed by a CA of ca_path '{other}'; "
            "give the file of the CA that signed it, or pin it with fingerprint"
        )
        assert tls.received == []

    def test_authority_by_file(self, tls: Stub, certificate: Certificate) -> None:
        with open_session(params(tls.url, ca_path=str(certificate.ca_path))) as session:
            assert session.call("VM.get_all") == ["OpaqueRef:1"]

    def test_no_check(self, tls: Stub) -> None:
        with open_session(params(tls.url, validate_certs=False)) as session:
            assert session.url == tls.url

    @pytest.mark.parametrize("form", ["lower", "upper", "colons"])
    def test_pin_replaces_authority(self, tls: Stub, certificate: Certificate, form: str) -> None:
        pin = certificate.fingerprint
        forms = {"lower": pin, "upper": pin.upper(), "colons": ":".join(pin[i : i + 2] for i in range(0, 64, 2))}
        with open_session(params(tls.url, fingerprint=["00" * 32, forms[form]])) as session:
            assert session.url == tls.url

    def test_pin_replaces_the_name(self, tmp_path: Path) -> None:
        other = Certificate(tmp_path, "xen1.example")
        with Stub(tls=other.context) as stub, open_session(params(stub.url, fingerprint=[other.fingerprint])) as session:
            assert session.url == stub.url

    def test_another_pin_is_refused_before_anything_is_sent(self, tls: Stub) -> None:
        text = failure(params(tls.url, fingerprint=["ab" * 32], validate_certs=False))
        assert "not among those given as fingerprint; check it on the host before you trust it" in text
        assert tls.received == []

    def test_a_pin_that_is_none(self, tls: Stub) -> None:
        assert "fingerprint 'abc' is no SHA-256 fingerprint; it has 64 hexadecimal digits" in failure(params(tls.url, fingerprint=["abc"]))

    def test_expired(self, tmp_path: Path) -> None:
        old = Certificate(tmp_path, expired=True)
        with Stub(tls=old.context) as stub:
            text = failure(params(stub.url, ca_path=str(old.ca_path)))
            assert text == f"the certificate of 127.0.0.1:{stub.port} has expired; renew it on the host, or pin it with fingerprint"

    @pytest.mark.parametrize(("name", "what"), [("xen1.example", "address"), ("127.0.0.9", "address")])
    def test_made_for_another(self, tmp_path: Path, name: str, what: str) -> None:
        other = Certificate(tmp_path, name)
        with Stub(tls=other.context) as stub:
            assert f"was made for another {what}; use the name in the certificate as hostname" in failure(params(stub.url, ca_path=str(other.ca_path)))

    def test_plain_http_where_tls_is_expected(self) -> None:
        with Stub() as stub:
            text = failure(params(f"127.0.0.1:{stub.port}"))
            assert text.startswith(f"no TLS connection to 127.0.0.1:{stub.port}")
            assert f"write http://127.0.0.1:{stub.port} as hostname" in text

    def test_missing_ca_file(self, tls: Stub) -> None:
        assert "ca_path '/no/such.pem' does not exist" in failure(params(tls.url, ca_path="/no/such.pem"))

    def test_ca_file_without_certificates(self, tls: Stub, tmp_path: Path) -> None:
        (tmp_path / "empty.pem").write_text("")
        assert "holds no certificates in PEM form" in failure(params(tls.url, ca_path=str(tmp_path / "empty.pem")))

    def test_members_are_trusted_the_same_way(self, tls: Stub, certificate: Certificate) -> None:
        with open_session(params(tls.url, ca_path=str(certificate.ca_path))) as session:
            open_connection(session.http.to("127.0.0.1")).close()
            with pytest.raises(XenError, match="made for another name"):
                open_connection(session.http.to("localhost"))


class TestNoPool:
    def test_refused(self) -> None:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        text = failure(params(f"127.0.0.1:{port}"))
        assert text == f"127.0.0.1:{port} refused the connection; check the port and that the toolstack runs on the host"

    def test_unknown_name(self) -> None:
        text = failure(params("xen1.invalid"))
        assert text == "the name 'xen1.invalid' cannot be resolved; check hostname and the name server"

    def test_connects_to_nobody_in_time(self) -> None:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            port = full.getsockname()[1]
            text = failure(params(f"127.0.0.1:{port}", connect_timeout=0.2))  # The TLS handshake is never answered.
        assert text == f"127.0.0.1:{port} did not answer within 0.2 seconds; check that it is up, or raise connect_timeout"

    def test_no_answer_in_time(self) -> None:
        with Stub({"VM.get_all": SILENCE}) as stub, open_session(params(stub.url, request_timeout=0.2)) as session:
            with pytest.raises(XenError, match=r"did not answer VM.get_all within 0.2 seconds; raise request_timeout"):
                session.call("VM.get_all")
            assert stub.received.count("VM.get_all") == 1

    @pytest.mark.parametrize("protocol", ["jsonrpc", "xmlrpc"])
    def test_another_page(self, protocol: str) -> None:
        with Stub({LOGIN: PAGE}) as stub:
            text = failure(params(stub.url, api_protocol=protocol))
            assert text == f"127.0.0.1:{stub.port} answers (HTTP 200) but is no XenAPI; check that hostname is a host of a XenServer pool"

    def test_wrong_password(self) -> None:
        with Stub({LOGIN: refuse("SESSION_AUTHENTICATION_FAILED", "root", "Authentication failure")}) as stub:
            text = failure(params(stub.url))
            assert text.startswith(f"127.0.0.1:{stub.port}: wrong user name or password for 'root'; check username and password")
            assert stub.received == [LOGIN]

    @pytest.mark.parametrize(("missing", "remedy"), [("hostname", "XENSERVER_HOST"), ("password", "XENSERVER_PASSWORD")])
    def test_missing_option(self, missing: str, remedy: str) -> None:
        text = failure(params("127.0.0.1", **{missing: None}))
        assert text.startswith(missing) or f"the {missing} for 127.0.0.1 is missing" in text
        assert remedy in text

    @pytest.mark.parametrize("option", ["connect_timeout", "request_timeout"])
    def test_waiting_for_ever_cannot_be_asked_for(self, option: str) -> None:
        assert f"{option} must be more than 0 seconds, not 0" in failure(params("127.0.0.1", **{option: 0.0}))


class TestXmlRpc:
    @pytest.mark.parametrize("status", ["404", "500", "200"])
    def test_is_used_where_there_is_no_json(self, status: str) -> None:
        """POST to a path that is not there lands in the XML-RPC handler, which cannot parse JSON (facts §1.1)."""
        with Stub({"VM.get_all": ["OpaqueRef:1"]}, no_json=status) as stub:
            with open_session(params(stub.url)) as session:
                assert session.call("VM.get_all") == ["OpaqueRef:1"]
            assert stub.received == [LOGIN, "VM.get_all", LOGOUT]

    def test_a_server_that_spoke_json_is_not_asked_in_xml(self) -> None:
        with Stub({"VM.get_all": PAGE}) as stub, open_session(params(stub.url)) as session:
            with pytest.raises(XenError, match="is no XenAPI"):
                session.call("VM.get_all")
            assert stub.received == [LOGIN, "VM.get_all"]

    def test_large_integers_go_as_text(self) -> None:
        with Stub({"VDI.resize": ""}) as stub:
            with open_session(params(stub.url, api_protocol="xmlrpc")) as session:
                session.call("VDI.resize", "OpaqueRef:1", 2**40)
            assert stub.params[1] == [SESSION, "OpaqueRef:1", str(2**40)]
