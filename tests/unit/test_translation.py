"""Objects become rows: the dialect by example, and against a slow and obvious reading of it."""

import copy
import hashlib
import json
from http import HTTPStatus
from types import SimpleNamespace

import pytest
from hypothesis import given, settings, strategies as st

from congress_dse.datasources.translators import convert, convert_obj
from congress_dse.exceptions import InvalidTranslator

VALUE = {"translation-type": "VALUE"}


def hdict(table, *fields, **words):
    made = {"translation-type": "HDICT", "table-name": table, "selector-type": "DICT_SELECTOR"}
    listed = [f if isinstance(f, dict) else {"fieldname": f, "translator": VALUE} for f in fields]
    return made | {"field-translators": listed} | spelt(words)


def vdict(table, inner=VALUE, **words):
    made = {"translation-type": "VDICT", "table-name": table, "translator": inner}
    return made | {"key-col": "key", "val-col": "value"} | spelt(words)


def listed(table, inner=VALUE, **words):
    made = {"translation-type": "LIST", "table-name": table, "translator": inner}
    return made | {"val-col": "value"} | spelt(words)


def field(name, inner, **words):
    return {"fieldname": name, "translator": inner} | spelt(words)


def spelt(words):
    return {word.replace("_", "-"): value for word, value in words.items()}


def hashed(*cells):
    ordered = sorted(cells, key=lambda cell: str(type(cell)) + repr(cell))
    return hashlib.md5(json.dumps(ordered).encode()).hexdigest()


def test_an_hdict_is_one_row_in_the_order_of_its_fields():
    assert convert([{"b": 2, "a": 1}], hdict("t", "a", "b")) == [("t", (1, 2))]


def test_a_missing_field_is_the_text_none():
    assert convert([{}], hdict("t", "a")) == [("t", ("None",))]
    dotted = hdict("t", "a", selector_type="DOT_SELECTOR")
    assert convert([SimpleNamespace()], dotted) == [("t", ("None",))]


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, "None"),
        (True, "True"),
        (1, 1),
        (1.5, 1.5),
        (2**70, 2**70),
        (HTTPStatus.OK, HTTPStatus.OK),
        ("text", "text"),
        ("caf\u00e9 \U0001f600", "caf "),
        (b"raw", "b'raw'"),
        ({"k": "\u00e9"}, "{'k': ''}"),
        ([1, None], "[1, None]"),
    ],
)
def test_a_cell_is_ascii_text_or_a_number(value, cell):
    ((_, row),) = convert([{"a": value}], hdict("t", "a"))
    assert row == (cell,)
    assert type(row[0]) is type(cell)


def test_a_dot_selector_reads_attributes_and_a_dict_selector_keys():
    dotted = hdict("t", "OS-EXT:host", selector_type="DOT_SELECTOR")
    assert convert([SimpleNamespace(**{"OS-EXT:host": "h1"})], dotted) == [("t", ("h1",))]
    assert convert([{"OS-EXT:host": "h1"}], hdict("t", "OS-EXT:host")) == [("t", ("h1",))]


def test_a_dict_selector_reads_whatever_has_keys():
    class Keyed:
        def __contains__(self, key):
            return key == "a"

        def __getitem__(self, key):
            return 1

    assert convert([Keyed()], hdict("t", "a", "b")) == [("t", (1, "None"))]


def test_without_a_selector_mappings_are_read_by_key_and_others_by_attribute():
    either = hdict("t", "a")
    del either["selector-type"]
    assert convert([{"a": 1}, SimpleNamespace(a=2)], either) == [("t", (1,)), ("t", (2,))]


def test_an_extract_function_sees_the_value_or_none():
    sized = field("a", VALUE | {"extract-fn": lambda value: len(value or ())})
    assert convert([{"a": [1, 2]}, {}], hdict("t", sized)) == [("t", (2,)), ("t", (0,))]


def test_an_id_is_the_hash_of_the_cells_whatever_their_order():
    ((_, one),) = convert([{"a": 1, "b": "x"}], hdict("t", "a", "b", id_col="id"))
    ((_, other),) = convert([{"a": "x", "b": 1}], hdict("t", "a", "b", id_col="id"))
    assert one == (hashed(1, "x"), 1, "x")
    assert one[0] == other[0]


def test_the_hashes_are_those_that_congress_has_always_made():
    listing, pairs = listed("t", id_col="id"), vdict("t", id_col="id")
    assert convert_obj([], listing)[1] == "d751713988987e9331980363e24189ce"
    assert convert_obj([1, "a", "b", True], listing)[1] == "0097e090e4753dd0b8409813ce512710"
    assert convert_obj({"x": [1.5], "it's": 2}, pairs)[1] == "533870017e2012a0829aa1ed928ca61d"


def test_an_id_may_be_made_by_a_function_of_the_object():
    named = hdict("t", "a", id_col=lambda obj: f"id:{obj['a']}")
    assert convert([{"a": 1}], named) == [("t", ("id:1", 1))]


def test_an_id_that_is_no_text_or_number_names_its_table():
    with pytest.raises(InvalidTranslator, match=r"t\.id-col: the function gave list") as caught:
        convert([{"a": 1}, {"a": []}], hdict("t", "a", id_col=lambda obj: obj["a"]))
    assert caught.value.__notes__ == ["while translating t, object 1"]


def test_an_error_in_a_function_of_the_driver_says_which_object():
    broken = hdict("t", field("a", VALUE | {"extract-fn": lambda value: 1 / value}))
    with pytest.raises(ZeroDivisionError) as caught:
        convert([{"a": 1}, {"a": 2}, {"a": 0}], broken)
    assert caught.value.__notes__ == ["while translating t, object 2"]


def test_inner_rows_name_the_column_their_parent_lends_and_come_first():
    ips = hdict("ips", "ip", parent_key="id", in_list=True)
    rows = convert(
        [{"id": 7, "ips": [{"ip": "x"}, {"ip": "y"}]}], hdict("p", "id", field("ips", ips))
    )
    assert rows == [("ips", (7, "x")), ("ips", (7, "y")), ("p", (7,))]


def test_an_inner_id_is_a_cell_of_the_row_around_it():
    tags = listed("tags", id_col="id")
    rows = convert([{"a": 1, "tags": ["x", "y"]}], hdict("t", "a", field("tags", tags)))
    own = hashed("x", "y")
    assert rows == [("tags", (own, "x")), ("tags", (own, "y")), ("t", (1, own))]


def test_what_is_absent_has_the_hash_of_nothing():
    assert convert([{}], hdict("t", field("tags", listed("tags", id_col="id")))) == [
        ("t", (hashed(),))
    ]


def test_a_vdict_is_one_row_for_each_pair():
    assert convert([{"x": True, None: 2}], vdict("t")) == [("t", ("x", "True")), ("t", ("None", 2))]


def test_a_vdict_lends_its_key_and_its_id():
    inner = listed("values", parent_key="key")
    assert convert([{"x": [1]}], vdict("t", inner)) == [("values", ("x", 1)), ("t", ("x",))]
    own = hashed(("x",))
    rows = convert([{"x": [1]}], vdict("t", listed("values", parent_key="own"), id_col="own"))
    assert rows == [("values", (own, 1)), ("t", (own, "x"))]


def test_an_hdict_lends_its_own_id_and_its_parents_column():
    deep = listed("deep", parent_key="top")
    mid = hdict("mid", field("deep", deep), parent_key="own", parent_col_name="top")
    rows = convert(
        [{"a": 1, "mid": {"deep": ["x"]}}], hdict("t", "a", field("mid", mid), id_col="own")
    )
    own = hashed(1)
    assert rows == [("deep", (own, "x")), ("mid", (own,)), ("t", (own, 1))]


def test_lists_in_lists_are_joined_by_ids():
    rows = convert([[[1], None]], listed("t", listed("u", id_col="id")))
    assert rows == [("u", (hashed(1), 1)), ("t", (hashed(1),)), ("t", (hashed(),))]


def test_an_empty_list_of_lists_has_an_id_like_any_other():
    inner = listed("t", listed("u", id_col="id"), id_col="own")
    assert convert_obj([], inner) == ([], hashed())


def test_four_levels_deep_each_has_its_rows():
    d = listed("d", parent_key="c")
    c = hdict("c", "c", field("ds", d), parent_key="key", in_list=True)
    b = vdict("b", c, parent_key="a")
    a = hdict("a", "a", field("bs", b))
    rows = convert([{"a": 1, "bs": {"k": [{"c": 3, "ds": [4, None]}]}}], a)
    assert rows == [
        ("d", (3, 4)),
        ("d", (3, "None")),
        ("c", ("k", 3)),
        ("b", (1, "k")),
        ("a", (1,)),
    ]


def test_objects_are_extracted_as_a_whole_at_the_root_and_one_by_one_inside():
    inner = listed("in", parent_key="a", objects_extract_fn=json.loads)
    outer = hdict("out", "a", field("x", inner), objects_extract_fn=lambda raw: raw["all"])
    assert convert({"all": [{"a": 1, "x": "[2]"}]}, outer) == [("in", (1, 2)), ("out", (1,))]


def test_what_is_extracted_to_nothing_makes_no_rows():
    inner = listed("in", id_col="id", objects_extract_fn=lambda raw: None)
    assert convert([[1]], listed("t", inner)) == [("t", (hashed(),))]
    assert convert([{"a": 1}], vdict("t", inner)) == [("t", ("a", None))]
    assert convert([{"a": 1}], hdict("t", field("a", inner))) == [("t", ("None",))]


def test_a_field_named_as_the_parents_column_fills_both():
    inner = hdict("in", "id", parent_key="id", parent_col_name="id")
    rows = convert([{"id": 1, "in": {"id": 2}}], hdict("t", "id", field("in", inner)))
    assert rows == [("in", (2, 2)), ("t", (1,))]


def test_of_two_fields_with_one_column_the_later_fills_both():
    twice = hdict("t", "a", field("b", VALUE, col="a"))
    assert convert([{"a": 1, "b": 2}], twice) == [("t", (2, 2))]


def test_a_row_that_wants_a_column_its_parent_lacks_says_so():
    orphan = hdict("t", "a", field("x", listed("u", parent_key="id")))
    assert convert([{"a": 1}, {"a": 2, "x": []}], orphan) == [("t", (1,)), ("t", (2,))]
    with pytest.raises(InvalidTranslator, match=r"u\.parent-key: 'id' is no column .* allowed: a"):
        convert([{"a": 1, "x": [1]}], orphan)


def test_a_root_with_a_parent_key_needs_the_parents_row():
    rooted = hdict("t", "a", parent_key="id")
    assert convert_obj({"a": 1}, rooted, {"id": 9}) == ([("t", (9, 1))], None)
    assert convert([], rooted) == []
    with pytest.raises(InvalidTranslator, match=r"t\.parent-key: a root has no parent"):
        convert([{"a": 1}], rooted)


def test_none_is_no_object():
    assert convert_obj(None, hdict("t", "a")) == (None, None)
    assert convert([None, {"a": 1}], hdict("t", "a")) == [("t", (1,))]


# A slow and obvious reading of the dialect. Rows are dicts until they are done.


def as_cell(value):
    if isinstance(value, str):
        return value.encode("ascii", "ignore").decode()
    return value if type(value) in {int, float} else str(value)


def as_read(translator, obj, lent):
    """(rows, id) of one object that is not None; `lent` is the parent's row."""
    kind = translator["translation-type"]
    if kind == "HDICT" and translator.get("in-list"):
        each = [hdict_as_read(translator, one, lent) for one in obj]
        return [row for rows, _ in each for row in rows], each[-1][1] if each else None
    if kind == "HDICT":
        return hdict_as_read(translator, obj, lent)
    return many_as_read(translator, obj, lent)


def inner_as_read(inner, value, lent):
    if value is None:
        return [], hashed()
    return as_read(inner, value, lent)


def hdict_as_read(translator, obj, lent):
    rows, row = [], {}
    fields = translator["field-translators"]
    if "parent-key" in translator:
        row[translator.get("parent-col-name", "parent_key")] = lent[translator["parent-key"]]
    for late in (False, True):
        for part in fields:
            inner, value = part["translator"], obj.get(part["fieldname"])
            if inner["translation-type"] == "VALUE":
                if not late:
                    row[part["fieldname"]] = as_cell(inner.get("extract-fn", as_cell)(value))
            elif ("parent-key" in inner) is late:
                made, ident = inner_as_read(inner, value, row)
                rows += made
                if "id-col" in inner:
                    row[part["fieldname"]] = ident
    cells = [as_cell(row[part["fieldname"]]) for part in fields if part["fieldname"] in row]
    ident = None
    if "id-col" in translator:
        ident = id_as_read(translator, obj, cells)
        cells.insert(0, ident)
    elif "parent-key" in translator:
        cells.insert(0, row[translator.get("parent-col-name", "parent_key")])
    return [*rows, (translator["table-name"], tuple(cells))], ident


def id_as_read(translator, obj, cells):
    made_by = translator["id-col"]
    return made_by(obj) if callable(made_by) else hashed(*cells)


def many_as_read(translator, obj, lent):
    inner, keyed = translator["translator"], translator["translation-type"] == "VDICT"
    rows, cells, last = [], [], None
    for key, value in obj.items() if keyed else enumerate(obj):
        last = value
        if inner["translation-type"] == "VALUE":
            got = (as_cell(key), as_cell(inner.get("extract-fn", as_cell)(value)))
        else:
            made, ident = inner_as_read(inner, value, {translator.get("key-col"): key})
            rows += made
            got = (key, ident) if "id-col" in inner else (key,)
        cells.append(got if keyed else got[1])
    ident, head = None, ()
    if "id-col" in translator:
        of_tables = not keyed and inner["translation-type"] != "VALUE"
        ident = id_as_read(translator, last if of_tables else obj, cells)
        head = (ident,)
    elif "parent-key" in translator:
        head = (lent[translator["parent-key"]],)
    table = translator["table-name"]
    return [*rows, *((table, (*head, *(c if keyed else (c,)))) for c in cells)], ident


TEXT = st.text(max_size=4)
SCALAR = st.one_of(
    st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False, width=16), TEXT
)
NAMES = ("a", "b", "c", "d")
EXTRACT = st.sampled_from([str, lambda value: value == 1, lambda _value: None])
ID = st.sampled_from(["id", "own", repr, lambda obj: len(repr(obj))])


@st.composite
def tables(draw, depth=4, lent=(), inside=None):
    """A valid translator that fills a table; `lent` are the columns its parent has."""
    kind = draw(st.sampled_from(["HDICT", "VDICT", "LIST"]))
    joints = ["id-col"] if inside == "LIST" else ["id-col", "none"] + ["parent-key"] * bool(lent)
    joint = draw(st.sampled_from(joints))
    words = {"id_col": draw(ID)} if joint == "id-col" else {}
    if joint == "parent-key":
        words = {"parent_key": draw(st.sampled_from(sorted(lent)))}
    if kind != "HDICT":
        inner_lent = {"key"} if kind == "VDICT" else set()
        inner = draw(parts(depth - 1, inner_lent, kind))
        return (vdict if kind == "VDICT" else listed)("", inner, **words)
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    plain = {name for name in names if draw(st.booleans())}
    own = {"parent_key"} if joint == "parent-key" else set()
    fields = [
        field(name, draw(values() if name in plain else parts(depth - 1, plain | own, kind)))
        for name in names
    ]
    return hdict("", *fields, in_list=draw(st.booleans()), **words)


def values():
    extracted = EXTRACT.map(lambda extract: VALUE | {"extract-fn": extract})
    return st.one_of(st.just(VALUE), extracted)


def parts(depth, lent, inside):
    if depth == 0:
        return values()
    return st.one_of(values(), tables(depth, lent, inside))


def numbered(translator, numbers):
    """The same with a table name for each, so that none is used twice."""
    made = dict(translator)
    if "table-name" in made:
        made["table-name"] = f"t{next(numbers)}"
    if "translator" in made:
        made["translator"] = numbered(made["translator"], numbers)
    made_fields = [
        {**part, "translator": numbered(part["translator"], numbers)}
        for part in made.get("field-translators", ())
    ]
    return made | ({"field-translators": made_fields} if "field-translators" in made else {})


def data_for(translator, *, absent=True):
    """Objects that such a translator is meant for; an inner one may be absent."""
    kind = translator["translation-type"]
    if kind == "VALUE":
        return SCALAR
    if kind == "HDICT":
        fields = {
            f["fieldname"]: data_for(f["translator"]) for f in translator["field-translators"]
        }
        one = st.fixed_dictionaries({}, optional=fields)
        # The last id is an in-list's own: inside a LIST there must be one.
        data = st.lists(one, min_size=1, max_size=3) if translator.get("in-list") else one
    elif kind == "VDICT":
        data = st.dictionaries(TEXT, data_for(translator["translator"]), max_size=3)
    else:
        of_tables = translator["translator"]["translation-type"] != "VALUE"
        data = st.lists(data_for(translator["translator"]), min_size=int(of_tables), max_size=3)
    return st.one_of(st.none(), data) if absent else data


@st.composite
def translators_and_objects(draw):
    translator = numbered(draw(tables()), iter(range(10**6)))
    return translator, draw(st.lists(data_for(translator, absent=False), max_size=3))


@settings(max_examples=200, deadline=None)
@given(translators_and_objects())
def test_every_translator_is_read_as_the_dialect_says(pair):
    translator, objects = pair
    before = copy.deepcopy(objects)
    expected = [row for obj in objects for row in as_read(translator, obj, {})[0]]
    assert convert(objects, translator) == expected
    assert objects == before


@settings(max_examples=50, deadline=None)
@given(st.lists(SCALAR, max_size=6), st.randoms(use_true_random=False))
def test_an_id_does_not_depend_on_the_order_of_a_list(cells, draw):
    shuffled = draw.sample(cells, len(cells))
    listing = listed("t", id_col="id")
    assert convert_obj(cells, listing)[1] == convert_obj(shuffled, listing)[1]
