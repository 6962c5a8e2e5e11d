"""How a poll ends that does not go well, and what the next one makes of it."""

import pytest

from congress_dse.datasources.datasource_driver import PollingDataSourceDriver
from congress_dse.runtime import chosen as runtime

VALUE = {"translation-type": "VALUE"}


def things(table):
    return {
        "translation-type": "HDICT",
        "table-name": table,
        "selector-type": "DICT_SELECTOR",
        "field-translators": ({"fieldname": "id", "translator": VALUE},),
    }


class Source(PollingDataSourceDriver):
    TRANSLATORS = [things("first"), things("second")]

    def update_from_datasource(self):
        with self.reading("first"):
            self.update_state("first", [{"id": self.now_first}])
        with self.reading("second"):
            self.update_state("second", [{"id": self.second()}])


@pytest.fixture
def source():
    source = Source("s", ["s"], None, None, {"poll_deadline": 0.05})
    source.now_first, source.second = 1, lambda: 1
    source.poll()
    return source


def test_what_a_failed_poll_had_read_is_read_again_as_new(source):
    source.now_first, source.second = 2, lambda: runtime.sleep(5)
    source.poll()
    assert source.state["first"] == {(1,)}
    source.second = lambda: 1
    source.poll()
    assert source.state["first"] == {(2,)}


def test_the_end_of_its_time_ends_a_poll_and_is_not_taken_for_a_table_s_failure(source):
    source.second = lambda: runtime.sleep(5)
    source.poll()
    assert set(source.stale) == {"second", "*"}
    assert "has not ended in 0.05 s" in source.stale["*"].cause


def test_where_each_table_has_a_cause_of_its_own_the_source_s_cause_is_gone(source):
    def fails():
        raise ValueError("no")

    source.second = lambda: runtime.sleep(5)
    source.poll()
    source.second = fails
    source.translators.convert = lambda *_: fails()
    source._raw.clear()
    source.poll()
    assert set(source.stale) == {"first", "second"}
