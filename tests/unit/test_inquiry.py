"""What a master asks its workers: who answers, who is late, who is gone."""

from congress_dse.manager.inquiry import Inquiry, row


class Answer:
    def __init__(self):
        self.result = None

    def set_result(self, result):
        self.result = result


def begun(*names, until=10.0):
    rows = {n: row(name, 100 + n, "ready", 5.0) for n, name in enumerate(names)}
    return Inquiry(Answer(), until, rows, set(rows))


def told(cause="", **answer):
    return {"answer": answer, "blocked_s": 0.0, "stack": "", "cause": cause}


def test_it_is_over_when_all_have_answered():
    inquiry = begun("a.0", "a.1")
    inquiry.heard(0, told(x=1), 5.5)
    assert not inquiry.over(6.0)
    inquiry.heard(1, told(x=2), 5.25)
    assert inquiry.over(6.0)
    found = [(r["worker"], r["answered"], r["took_s"], r["answer"]) for r in inquiry.answer.result]
    assert found == [("a.0", True, 0.5, {"x": 1}), ("a.1", True, 0.25, {"x": 2})]


def test_who_is_late_is_named_and_the_others_are_heard():
    inquiry = begun("a.0", "a.1")
    inquiry.heard(1, told(x=2), 6.0)
    assert inquiry.over(10.0)
    late, good = inquiry.answer.result
    assert (late["worker"], late["answered"], late["cause"]) == ("a.0", False, "no answer")
    assert good["answered"]


def test_who_ends_meanwhile_is_not_waited_for():
    inquiry = begun("a.0")
    inquiry.lost(0)
    assert inquiry.over(6.0)
    assert inquiry.answer.result[0]["cause"] == "it ended"


def test_an_error_is_a_cause_and_no_answer():
    inquiry = begun("a.0")
    inquiry.heard(0, told("NoSuchInquiry: x"), 6.0)
    assert inquiry.over(6.0)
    assert not inquiry.answer.result[0]["answered"]


def test_an_answer_that_comes_twice_counts_once():
    inquiry = begun("a.0")
    inquiry.heard(0, told(x=1), 6.0)
    inquiry.heard(0, told(x=2), 7.0)
    assert inquiry.over(7.0)
    assert inquiry.answer.result[0]["answer"] == {"x": 1}


def test_nobody_to_ask_is_over_at_once():
    inquiry = begun()
    assert inquiry.over(0.0)
    assert inquiry.answer.result == []
