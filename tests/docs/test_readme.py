"""The README's conversation happens as it is shown."""

from tests.docs.samples import Alike, events, samples, send, shown_json
from tests.support.api import Api
from tests.support.draining import draining


def test_every_sample_of_the_readme_is_what_a_server_answers(api: Api) -> None:
    alike = Alike()
    token = key = ""
    shown = samples()
    assert len(shown) == 9

    with draining(api.settings):
        for sample in shown:
            answer = send(alike.fill(sample.command), api.url, token, key)

            assert answer.is_success, answer.text
            if answer.headers["content-type"].startswith("text/event-stream"):
                alike.check(events(sample.answer), events(answer.text))
            else:
                alike.check(shown_json(sample.answer), answer.json())
                token = answer.json().get("access_token", token)
                key = answer.json().get("key", key)
