# Copyright: (c) 2026, the xapi.xenserver authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plain entities, declared: options, comparison, create, update, rename, destroy and prediction from one table.

::

    NETWORK = Entity(
        xen_class="network",
        render=render.network,
        fields=(
            Field("description", "name_description", TEXT, initial=""),
            Field("mtu", "MTU", INT, initial=1500),
            Field("other_config", "other_config", MAP, initial={}, merge=True),
            Field("bridge", "bridge", TEXT, immutable=True),
        ),
    )

An option that is left out leaves its field alone; an empty one empties it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as defaulted
from typing import Any, NamedTuple

from ._codec import Codec, merged
from ._errors import Immutable, NotFound, XenError
from ._lookup import Caller, Found, Record, View, find, get_by_name_or_uuid
from ._plan import Plan, Values


@dataclass(frozen=True)
class Field:
    """One option that is one field of the record.

    ``initial`` is the value a new object gets when the option is left out (None: the pool decides).
    ``merge`` keeps the keys of a map that are not named; a key set to null is removed. Otherwise the map is replaced.
    ``immutable`` fields are given at creation only; another value later is refused.
    ``refers_to`` names the class of a reference: the option takes a name or uuid, the result gives the uuid.
    """

    option: str
    field: str
    codec: Codec
    initial: Any = None
    merge: bool = False
    immutable: bool = False
    refers_to: str | None = None
    spec: Mapping[str, Any] = defaulted(default_factory=dict)

    def wire(self, session: Caller, value: Any, current: Any = None) -> Any:
        """The wire value for an option's value; ``current`` is the wire value it is merged into."""
        if self.refers_to:
            return get_by_name_or_uuid(session, self.refers_to, value)[0]
        if self.merge:
            return merged(current or {}, value)
        return self.codec.encode(value)


@dataclass(frozen=True)
class Entity:
    """A class with create, setters and destroy, found by ``name_label`` or uuid.

    ``render`` makes the result, returned under ``key`` (the class unless told). ``only`` are conditions for finding.
    ``options`` are options that are no fields, ``selectors`` those of which exactly one is given.
    ``prepare`` may complete the parameters first; ``find`` replaces finding by name or uuid when it returns something
    other than NotImplemented. ``on_present`` and ``on_absent`` take the plan further: they may refuse, or add steps
    (after the fields were set; before the object is removed).
    """

    xen_class: str
    fields: tuple[Field, ...]
    render: Callable[[Record, View], Values]
    key: str = ""
    noun: str = ""
    only: Mapping[str, Any] = defaulted(default_factory=dict)
    options: Mapping[str, dict[str, Any]] = defaulted(default_factory=dict)
    selectors: tuple[str, ...] = ("name", "uuid")
    prepare: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    find: Callable[[Caller, dict[str, Any]], Any] | None = None
    on_present: Callable[[Context], None] | None = None
    on_absent: Callable[[Context], None] | None = None

    @property
    def rules(self) -> dict[str, Any]:
        """Exactly one of the selectors, as keywords of AnsibleModule."""
        return {"required_one_of": [self.selectors], "mutually_exclusive": [self.selectors]}

    def spec(self) -> dict[str, dict[str, Any]]:
        """The argument spec of the declaration; ``run_entity`` adds state, name, uuid and new_name."""
        return {**{item.option: {**item.codec.option, **item.spec} for item in self.fields}, **self.options}

    def plan(self, session: Caller, params: dict[str, Any]) -> Plan:
        """Compare what is wanted with what is."""
        params = self.prepare(params) if self.prepare else params
        found = _find(self, session, params)
        if params["state"] == "absent":
            return _plan_absent(self, session, params, found)
        if found is None:
            return _plan_create(self, session, params)
        return _plan_update(self, session, params, *found)

    @property
    def called(self) -> str:
        return self.noun or self.xen_class


class Ref:
    """The reference of the object: known now, or set by the step that creates it."""

    def __init__(self, ref: str = "") -> None:
        self.value = ref


class Context(NamedTuple):
    """What the hooks get: ``ref.value`` is valid inside steps, ``record`` is None for a new object."""

    session: Caller
    params: dict[str, Any]
    plan: Plan
    ref: Ref
    record: Record | None
    view: View


def _find(entity: Entity, session: Caller, params: dict[str, Any]) -> Found | None:
    """By uuid or name; when only the new name exists, the renaming has been done before."""
    if entity.find and (special := entity.find(session, params)) is not NotImplemented:
        return special  # type: ignore[no-any-return]

    def look(**key: str | None) -> Found | None:
        return find(session, entity.xen_class, only=entity.only, noun=entity.called, **key)

    found = look(name=params["name"], uuid=params["uuid"])
    new_name = params["new_name"]
    if params["state"] == "absent" or not new_name or new_name == params["name"]:
        return found
    renamed = look(name=new_name)
    if found and renamed and found[0] != renamed[0]:
        raise XenError(f"there is another {entity.called} named {new_name!r} already; choose another new_name")
    return found or renamed


def _plan_absent(entity: Entity, session: Caller, params: dict[str, Any], found: Found | None) -> Plan:
    if found is None:
        return Plan(before={"state": "absent"}, after={"state": "absent"})
    ref, record = found
    name = record["name_label"]
    plan = Plan(before={"state": "present", **_diff_values(entity, record)}, after={"state": "absent"})
    if entity.on_absent:
        entity.on_absent(Context(session, params, plan, Ref(ref), record, View(session)))
    plan.add(f"remove {entity.called} {name!r}", lambda: session.call(f"{entity.xen_class}.destroy", ref))
    return plan


def _plan_create(entity: Entity, session: Caller, params: dict[str, Any]) -> Plan:
    if params["uuid"]:
        raise NotFound(entity.called, params["uuid"], "a new one is created by name")
    name = params["new_name"] or params["name"]
    record: Record = {"name_label": name}
    for item in entity.fields:
        wanted = params[item.option]
        value = item.initial if wanted is None else item.wire(session, wanted)
        if value is not None:
            record[item.field] = value
    ref, view = Ref(), View(session)

    def create() -> None:
        ref.value = session.call(f"{entity.xen_class}.create", record)

    plan = Plan(before={"state": "absent"}, after={"state": "present", **_diff_values(entity, record)})
    plan.result = {entity.key or entity.xen_class: _shown(entity, record, view)}
    plan.read = _reader(entity, session, ref, view)
    plan.add(f"create {entity.called} {name!r}", create, lambda: session.call(f"{entity.xen_class}.destroy", ref.value))
    if entity.on_present:
        entity.on_present(Context(session, params, plan, ref, None, view))
    return plan


def _plan_update(entity: Entity, session: Caller, params: dict[str, Any], ref: str, record: Record) -> Plan:
    view = View(session)
    predicted = dict(record)
    plan = Plan(before={"state": "present", **_diff_values(entity, record)})
    new_name = params["new_name"]
    if new_name and new_name != record["name_label"]:
        predicted["name_label"] = new_name
        plan.add(f"rename it to {new_name!r}", _setter(session, entity, ref, "name_label", new_name))
    for item in entity.fields:
        if params[item.option] is None:
            continue
        wanted = item.wire(session, params[item.option], record[item.field])
        if not item.codec.differs(record[item.field], wanted):
            continue
        if item.immutable:
            shown = view.uuid(item.refers_to, record[item.field]) if item.refers_to else item.codec.decode(record[item.field])
            raise Immutable(entity.called, record["name_label"], item.option, shown, params[item.option])
        predicted[item.field] = wanted
        plan.add(f"set {item.option}", _setter(session, entity, ref, item.field, wanted))
    plan.after = {"state": "present", **_diff_values(entity, predicted)}
    plan.result = {entity.key or entity.xen_class: entity.render(predicted, view)}
    plan.read = _reader(entity, session, Ref(ref), view)
    if entity.on_present:
        entity.on_present(Context(session, params, plan, Ref(ref), record, view))
    return plan


def _setter(session: Caller, entity: Entity, ref: str, name: str, value: Any) -> Callable[[], Any]:
    return lambda: session.call(f"{entity.xen_class}.set_{name}", ref, value)


def _reader(entity: Entity, session: Caller, ref: Ref, view: View) -> Callable[[], Values]:
    def read() -> Values:
        view.forget()
        record = session.call(f"{entity.xen_class}.get_record", ref.value)
        return {entity.key or entity.xen_class: entity.render(record, view)}

    return read


def _diff_values(entity: Entity, record: Record) -> Values:
    """The declared fields as options, for the diff; references stay out, their names are not at hand."""
    shown = {item.option: item.codec.decode(record[item.field]) for item in entity.fields if _shows(item, record)}
    return {"name": record["name_label"], **shown}


def _shown(entity: Entity, record: Record, view: View) -> Values:
    """What can be said of an object before it exists."""
    references = {item.option: view.uuid(item.refers_to, record[item.field]) for item in entity.fields if item.refers_to and item.field in record}
    return {**_diff_values(entity, record), **references}


def _shows(item: Field, record: Record) -> bool:
    return item.refers_to is None and item.field in record
