"""Translators are registered: every fault with its path, tables, columns, states, fingerprints."""

import contextlib
import copy
import logging

import pytest
from hypothesis import given, settings, strategies as st

from congress_dse.datasources import dialect
from congress_dse.datasources.translators import (
    Translators,
    convert,
    fingerprint,
    gathered,
    schema,
    translation_of,
)
from congress_dse.exceptions import InvalidTranslator

VALUE = {"translation-type": "VALUE"}
TAGS = {
    "translation-type": "LIST",
    "table-name": "tags",
    "parent-key": "id",
    "parent-key-desc": "the server",
    "val-col": "tag",
    "val-col-desc": "what it is called",
    "translator": VALUE,
}
SERVERS = {
    "translation-type": "HDICT",
    "table-name": "servers",
    "selector-type": "DICT_SELECTOR",
    "field-translators": (
        {"fieldname": "id", "desc": "the UUID", "translator": VALUE},
        {"fieldname": "name", "col": "title", "translator": VALUE},
        {"fieldname": "tags", "translator": TAGS},
    ),
}
PORTS = {
    "translation-type": "VDICT",
    "table-name": "ports",
    "id-col": lambda obj: "id",
    "key-col": "port",
    "val-col": "state",
    "translator": VALUE,
}


def changed(translator, /, *path, **words):
    """A copy with `words` set, or taken out by `...`, at this path inside."""
    made = copy.deepcopy(translator)
    at = made
    for step in path:
        at = at[step]
    for word, value in words.items():
        at[word.replace("_", "-")] = value
        if value is ...:
            del at[word.replace("_", "-")]
    return made


def faults_of(translator, registered=()):
    with pytest.raises(InvalidTranslator) as caught:
        Translators([*registered, translator])
    first, *faults = str(caught.value).split("\n  ")
    assert first.endswith(f"{len(faults)} fault" + "s" * (len(faults) != 1))
    return faults


IN_TAGS = ("field-translators", 2, "translator")


@pytest.mark.parametrize(
    ("translator", "fault"),
    [
        (None, "translator: is None; allowed: a translator (a dict)"),
        ({}, "translator.translation-type: is missing; allowed: HDICT, VDICT, LIST, VALUE"),
        (
            changed(SERVERS, translation_type=["LIST"]),
            "servers.translation-type: is ['LIST']; allowed: HDICT, VDICT, LIST, VALUE",
        ),
        (
            VALUE,
            (
                "translator.translation-type: is VALUE, which fills no table; "
                "allowed: HDICT, VDICT, LIST"
            ),
        ),
        (
            changed(SERVERS, selector_type="DOT"),
            "servers.selector-type: is 'DOT'; allowed: DICT_SELECTOR or DOT_SELECTOR",
        ),
        (changed(SERVERS, in_list="yes"), "servers.in-list: is 'yes'; allowed: True or False"),
        (
            changed(SERVERS, field_translators=...),
            "servers.field-translators: is missing; allowed: a tuple or list of field translators",
        ),
        (
            changed(SERVERS, field_translators="id"),
            "servers.field-translators: is 'id'; allowed: a tuple or list of field translators",
        ),
        (
            changed(SERVERS, field_translators=["id"]),
            "servers.field-translators[0]: is 'id'; allowed: a field translator (a dict)",
        ),
        (
            changed(SERVERS, "field-translators", 0, translator=...),
            (
                "servers.field-translators[0](id).translator: is missing; "
                "allowed: a translator (a dict)"
            ),
        ),
        (
            changed(SERVERS, "field-translators", 1, translator=VALUE | {"extract-fn": "len"}),
            (
                "servers.field-translators[1](name).translator.extract-fn: is 'len'; "
                "allowed: a function of the value"
            ),
        ),
        (
            changed(SERVERS, *IN_TAGS, val_col=...),
            (
                "servers.field-translators[2](tags).translator.val-col: is missing; "
                "allowed: a name (text, not empty)"
            ),
        ),
        (
            changed(SERVERS, *IN_TAGS, id_col="id"),
            (
                "servers.field-translators[2](tags).translator.parent-key: stands beside id-col; "
                "allowed: one of the two"
            ),
        ),
        (
            changed(SERVERS, *IN_TAGS, table_name="servers"),
            (
                "servers.field-translators[2](tags).translator.table-name: 'servers' is filled by "
                "servers already; allowed: a name that no other translator has"
            ),
        ),
        (
            changed(PORTS, id_col=True),
            "ports.id-col: is True; allowed: a column's name, or a function of the object",
        ),
        (
            changed(PORTS, translator=changed(TAGS, translator=changed(TAGS, table_name="t"))),
            (
                "ports.translator.translator.id-col: is missing inside a LIST; "
                "allowed: a column's name, or a function of the object"
            ),
        ),
    ],
)
def test_a_fault_has_its_path_what_is_wrong_and_what_is_allowed(translator, fault):
    assert faults_of(translator) == [fault]


def test_a_word_that_is_none_comes_with_the_nearest_that_is():
    (fault,) = faults_of(changed(PORTS, val_cols="x"))
    assert fault.startswith(
        "ports.val-cols: is no word of VDICT (did you mean val-col?); allowed: "
    )


def test_all_faults_of_a_translator_come_in_one_error():
    wrong = changed(SERVERS, *IN_TAGS, val_col="", objects_extract_fn=3, translator=None)
    wrong = changed(wrong, "field-translators", 0, fieldname=..., colour="red")
    assert [fault.split(": ")[0] for fault in faults_of(wrong)] == [
        "servers.field-translators[0].colour",
        "servers.field-translators[0].fieldname",
        "servers.field-translators[2](tags).translator.val-col",
        "servers.field-translators[2](tags).translator.translator",
        "servers.field-translators[2](tags).translator.objects-extract-fn",
    ]


def test_a_faulty_field_lends_nothing_and_hides_no_other_fault():
    wrong = changed(SERVERS, "field-translators", 1, translator=None)
    assert [fault.split(": ")[0] for fault in faults_of(changed(wrong, *IN_TAGS, val_col=1))] == [
        "servers.field-translators[1](name).translator",
        "servers.field-translators[2](tags).translator.val-col",
    ]


def test_a_translator_inside_itself_is_a_fault_and_no_endless_walk():
    loop = dict(PORTS)
    loop["translator"] = loop
    assert [fault.split(";")[0] for fault in faults_of(loop)] == [
        "ports.translator.table-name: 'ports' is filled by ports already",
        "ports.translator: contains itself",
    ]


def test_two_registered_translators_fill_no_table_together():
    other = changed(PORTS, table_name="tags")
    assert faults_of(other, [SERVERS]) == [
        (
            "tags.table-name: 'tags' is filled by servers already; "
            "allowed: a name that no other translator has"
        )
    ]
    assert len(faults_of(SERVERS, [SERVERS])) == 2


def test_a_refused_translator_leaves_the_others_as_they_were():
    translators = Translators([PORTS])
    with pytest.raises(InvalidTranslator):
        translators.register(changed(SERVERS, *IN_TAGS, table_name="ports"))
    assert translators.tables() == ("ports",)
    translators.register(SERVERS)
    assert list(translators) == [PORTS, SERVERS]


def test_a_parent_key_that_no_parent_lends_is_a_warning_for_congress_took_it(caplog):
    with caplog.at_level(logging.WARNING):
        Translators([changed(SERVERS, *IN_TAGS, parent_key="uuid")])
    assert [record.message for record in caplog.records] == [
        (
            "servers.field-translators[2](tags).translator.parent-key: 'uuid' is no column of its "
            "parent; allowed: id, title"
        )
    ]


def test_a_translator_without_a_fault_is_registered_in_silence(caplog):
    Translators([SERVERS, PORTS])
    assert not caplog.records


def test_the_words_of_each_translator_are_congresss():
    assert {kind: len(words) for kind, words in dialect.PARAMS.items()} == {
        "HDICT": 10,
        "VDICT": 9,
        "LIST": 10,
        "VALUE": 2,
    }


def test_the_schema_has_descriptions_but_of_a_vdict_only_names():
    assert Translators([SERVERS, PORTS]).schema() == {
        "tags": (
            {"name": "parent_key", "desc": "the server"},
            {"name": "tag", "desc": "what it is called"},
        ),
        "servers": ({"name": "id", "desc": "the UUID"}, {"name": "title", "desc": None}),
        "ports": ("id-col", "port", "state"),
    }


def test_the_schema_names_the_id_and_the_parents_column():
    renamed = changed(SERVERS, *IN_TAGS, parent_col_name="server_id")
    columns = Translators([changed(renamed, id_col="hash")])
    assert columns.columns("tags") == ("server_id", "tag")
    assert columns.columns("servers") == ("hash", "id", "title")


def test_a_caller_may_change_the_schema_that_it_got():
    translators = Translators([SERVERS])
    translators.schema()["servers"][0]["name"] = "changed"
    assert translators.schema() == schema([SERVERS])


def test_a_schema_has_each_table_once():
    with pytest.raises(InvalidTranslator, match="already"):
        schema([SERVERS, SERVERS])


def test_every_row_is_as_long_as_its_tables_columns():
    translators = Translators([SERVERS, PORTS])
    rows = translators.convert([{"id": 1, "tags": ["x"]}], "servers")
    rows += translators.convert([{80: "open"}], "ports")
    assert {table: len(row) for table, row in rows} == {
        table: len(translators.columns(table)) for table in translators.tables()
    }


def test_a_root_comes_before_the_tables_inside_it():
    translators = Translators([SERVERS, PORTS])
    assert translators.tables("servers") == ("servers", "tags")
    assert translators.tables() == ("servers", "tags", "ports")


def test_a_root_is_found_by_its_table_and_an_inner_one_is_not():
    translators = Translators([SERVERS])
    assert translators.get("servers").translator is SERVERS
    assert translators.get("tags") is None


def test_the_state_has_every_table_of_the_root_and_of_no_other():
    translators = Translators([SERVERS, PORTS])
    rows = translators.convert([{"id": 1}, {"id": 1}], "servers")
    assert translators.state("servers", rows) == {"servers": {(1, "None")}, "tags": set()}


def test_rows_of_a_table_that_nobody_declared_are_dropped_with_one_warning(caplog):
    state = gathered([("a", (1,)), ("b", (2,)), ("b", (3,))], ["a"])
    assert state == {"a": {(1,)}}
    assert [record.message for record in caplog.records] == [
        "table b: 2 rows dropped, for no translator fills it"
    ]


def test_a_translator_is_compiled_once_however_often_it_is_used():
    assert translation_of(SERVERS) is translation_of(SERVERS)
    assert translation_of(SERVERS) is not translation_of(dict(SERVERS))


def test_a_change_to_a_registered_translator_comes_too_late():
    translator = copy.deepcopy(SERVERS)
    translators = Translators([translator])
    before = translators.convert([{"id": 1}], "servers")
    translator["field-translators"] = ()
    assert translators.convert([{"id": 1}], "servers") == before


def test_an_unregistered_translator_is_checked_as_well():
    with pytest.raises(InvalidTranslator, match=r"ports\.key-col: is missing"):
        convert([], changed(PORTS, key_col=...))


JUNK = st.sampled_from(
    [None, 0, "", "id", [], [None], [{}], {}, {"translator": 1}, len, VALUE, {1}]
)


def inside(translator, steps=()):
    """The paths to everything in a translator."""
    pairs = translator.items() if isinstance(translator, dict) else enumerate(translator)
    for step, value in pairs:
        yield (*steps, step)
        if isinstance(value, dict | list | tuple):
            yield from inside(value, (*steps, step))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_junk_anywhere_is_refused_as_a_fault_or_taken(data):
    fields = [dict(part) for part in SERVERS["field-translators"]]
    junked = copy.deepcopy(SERVERS | {"field-translators": fields})
    *steps, last = data.draw(st.sampled_from(list(inside(junked))))
    at = junked
    for step in steps:
        at = at[step]
    at[last] = data.draw(JUNK)
    with contextlib.suppress(InvalidTranslator):
        translation_of(junked).convert([])


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(PLAIN)
def test_plain_data_that_is_read_again_has_the_same_fingerprint(raw):
    assert fingerprint(raw) == fingerprint(copy.deepcopy(raw))


@settings(max_examples=100, deadline=None)
@given(PLAIN, PLAIN)
def test_data_that_differ_have_different_fingerprints(one, other):
    if one != other:
        assert fingerprint(one) != fingerprint(other)


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (1, 1.0), (0, False), ([1], 1), ([[]], []), ("1", b"1"), ((), [])]
)
def test_a_fingerprint_knows_types_apart(one, other):
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint([{"a": one}]) != fingerprint([{"a": other}])


def test_data_changed_in_place_has_another_fingerprint():
    raw = [{"id": 1}]
    before = fingerprint(raw)
    raw[0]["id"] = 2
    assert fingerprint(raw) != before


def test_objects_are_the_same_by_identity_whatever_they_say_of_equality():
    class Agreeable:
        __hash__ = None

        def __eq__(self, other):
            return True

    raw = [Agreeable()]
    assert fingerprint(raw) == fingerprint(raw)
    assert fingerprint(raw) != fingerprint([Agreeable()])
    assert fingerprint(raw) != fingerprint([1])
