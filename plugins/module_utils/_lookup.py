# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and uuids to references and records: none, one or many.

Conditions are given as ``{"is_a_template": False}`` with the names fields have in records; the pool filters. A list
means any of its values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from ._errors import Ambiguous, ApiError, NotFound

NULL = "OpaqueRef:NULL"
Record = dict[str, Any]
Found = tuple[str, Record]


class Caller(Protocol):
    """What is needed of a session here."""

    def call(self, method: str, *arguments: Any) -> Any: ...


def is_null(ref: str | None) -> bool:
    """Whether a reference points nowhere. The null reference is a text that is true (driver-operations §5.6)."""
    return ref in (None, "", NULL)


def find(
    session: Caller,
    xen_class: str,
    *,
    name: str | None = None,
    uuid: str | None = None,
    only: Mapping[str, Any] | None = None,
    noun: str | None = None,
) -> Found | None:
    """The one object with this uuid, or else of this name; None when there is none; ``Ambiguous`` when many.

    ``only`` are further conditions, as ``{"is_a_snapshot": False}``; ``noun`` is what errors call the class.
    """
    key, value = ("uuid", uuid) if uuid else ("name_label", name)
    found = records_by_ref(session, xen_class, {key: value, **(only or {})})
    if len(found) > 1:
        raise Ambiguous(noun or xen_class, str(value), [record["uuid"] for record in found.values()])
    return next(iter(found.items()), None)


def get(
    session: Caller,
    xen_class: str,
    *,
    name: str | None = None,
    uuid: str | None = None,
    only: Mapping[str, Any] | None = None,
    noun: str | None = None,
    hint: str = "",
) -> Found:
    """As ``find``, but none is an error."""
    found = find(session, xen_class, name=name, uuid=uuid, only=only, noun=noun)
    if found is None:
        raise NotFound(noun or xen_class, str(uuid or name), hint)
    return found


def get_by_name_or_uuid(session: Caller, xen_class: str, text: str, *, only: Mapping[str, Any] | None = None, noun: str | None = None) -> Found:
    """For options that take either, as ``network: storage``: a uuid when it looks like one and exists, else a name."""
    if looks_like_uuid(text):
        found = find(session, xen_class, uuid=text, only=only, noun=noun)
        if found is not None:
            return found
    return get(session, xen_class, name=text, only=only, noun=noun)


def looks_like_uuid(text: str) -> bool:
    """Whether a text has the form of a uuid (8-4-4-4-12 hexadecimal digits)."""
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(character in "0123456789abcdefABCDEF" for part in parts for character in part)


def records_by_ref(session: Caller, xen_class: str, only: Mapping[str, Any] | None = None) -> dict[str, Record]:
    """The records of a class that meet all conditions, in one call."""
    if not only:
        return _dict(session.call(f"{xen_class}.get_all_records"))
    if all('"' not in text for value in only.values() for text in _texts(value)):
        return _dict(session.call(f"{xen_class}.get_all_records_where", where(only)))
    # A double quote cannot be escaped in a filter: ask by name and compare the rest here.
    if isinstance(only.get("name_label"), str):
        refs = session.call(f"{xen_class}.get_by_name_label", only["name_label"])
        records = {ref: record_or_none(session, xen_class, ref) for ref in refs}
    else:
        records = session.call(f"{xen_class}.get_all_records")
    return {ref: record for ref, record in records.items() if record and all(_meets(record.get(field), value) for field, value in only.items())}


def record_or_none(session: Caller, xen_class: str, ref: str) -> Record | None:
    """The record behind a reference, or None when the object is gone or the reference null."""
    if is_null(ref):
        return None
    try:
        return _dict(session.call(f"{xen_class}.get_record", ref))
    except ApiError as error:
        if error.code == "HANDLE_INVALID":
            return None
        raise


def where(only: Mapping[str, Any]) -> str:
    """The filter expression. Values compare as the database's text; only equality exists (facts §2). A list is any of its values."""
    return " and ".join(_condition(field, value) for field, value in only.items())


def _condition(field: str, value: Any) -> str:
    any_of = " or ".join(f'field "{_column(field)}" = "{text}"' for text in _texts(value))
    return f"({any_of})" if isinstance(value, list) else any_of


def _meets(actual: Any, wanted: Any) -> bool:
    return bool(actual in wanted if isinstance(wanted, list) else actual == wanted)


def default_sr(session: Caller, view: View | None = None) -> Found:
    """The pool's default storage repository. Unset and dangling both count as missing."""
    view = view or View(session)
    pool = view.pool()
    record = view.record("SR", pool["default_SR"])
    if record is None:
        raise NotFound("storage repository", "default", "name one, or set the pool's default SR")
    return pool["default_SR"], record


def iso_srs(session: Caller) -> dict[str, Record]:
    """All storage repositories that hold ISO images (the one of the guest tools included)."""
    return records_by_ref(session, "SR", {"content_type": "iso"})


class View:
    """Records by class, read at most once a run: a cache for renderers that turn references into uuids.

    ``load`` reads a class whole (info modules); without it single records are read when asked for.
    """

    def __init__(self, session: Caller) -> None:
        self.session = session
        self._records: dict[str, dict[str, Record | None]] = {}

    def load(self, xen_class: str, only: Mapping[str, Any] | None = None) -> dict[str, Record]:
        """Read all records of a class that meet the conditions, and keep them."""
        records = records_by_ref(self.session, xen_class, only)
        self._records.setdefault(xen_class, {}).update(records)
        return records

    def record(self, xen_class: str, ref: str) -> Record | None:
        """One record, or None for the null reference and for what is gone."""
        records = self._records.setdefault(xen_class, {})
        if ref not in records:
            records[ref] = record_or_none(self.session, xen_class, ref)
        return records[ref]

    def fetch(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Read single records of any classes in one call; whatever is gone is None afterwards.

        The first answer to a subscription is every object of it as it is now, at once (facts §1.9).
        """
        missing = [(xen_class, ref) for xen_class, refs in wanted.items() for ref in sorted(self.unread(xen_class, refs))]
        if len(missing) <= 1:
            for xen_class, ref in missing:
                self.record(xen_class, ref)
            return
        answer = self.session.call("event.from", [f"{xen_class}/{ref}" for xen_class, ref in missing], "", 0.0)
        found = {event["ref"]: event["snapshot"] for event in answer["events"] if event["operation"] != "del"}
        for xen_class, ref in missing:
            self._records.setdefault(xen_class, {})[ref] = found.get(ref)

    def unread(self, xen_class: str, refs: Iterable[str]) -> set[str]:
        """Those of the references whose records have not been read yet; the null reference needs no reading."""
        return {ref for ref in refs if not is_null(ref)} - self._records.get(xen_class, {}).keys()

    def get(self, xen_class: str, ref: str) -> Record:
        """One record that has to be there."""
        return self.record(xen_class, ref) or _dict(self.session.call(f"{xen_class}.get_record", ref))

    def uuid(self, xen_class: str, ref: str) -> str | None:
        """The uuid behind a reference, or None."""
        record = self.record(xen_class, ref)
        return record["uuid"] if record else None

    def pool(self) -> Record:
        """The record of the pool: there is exactly one."""
        pools = self._records.get("pool") or self.load("pool")
        return next(record for record in pools.values() if record)

    def forget(self, *xen_classes: str) -> None:
        """Drop what was read so far, of these classes or of all: call it before the re-read that follows the steps."""
        for xen_class in xen_classes or list(self._records):
            self._records.pop(xen_class, None)


# Fields of a namespace carry a double underscore in the database, which filters name (facts §2).
NAMESPACED = {"name_label": "name__label", "name_description": "name__description"}


def _column(field: str) -> str:
    return NAMESPACED.get(field, field)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _texts(value: Any) -> list[str]:
    return [_text(item) for item in value] if isinstance(value, list) else [_text(value)]


def _dict(value: Any) -> dict[str, Any]:
    result: dict[str, Any] = value
    return result
