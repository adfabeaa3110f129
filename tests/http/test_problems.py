from api.core.errors import TooMany, Unavailable
from api.http.problems import response_of


def test_clients_that_were_refused_together_are_told_to_come_back_apart() -> None:
    refusals = [response_of(Unavailable("no", retry_after_seconds=5)) for _ in range(200)]

    waits = {int(refusal.headers["Retry-After"]) for refusal in refusals}
    assert waits == set(range(5, 11))


def test_a_quota_says_exactly_when_it_is_over() -> None:
    refusals = [response_of(TooMany("no", retry_after_seconds=17)) for _ in range(20)]

    assert {refusal.headers["Retry-After"] for refusal in refusals} == {"17"}
