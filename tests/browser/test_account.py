"""The account: password, sessions, export, import, and its end."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from playwright.sync_api import Locator, expect

from tests.browser.conftest import OpenWindow
from tests.browser.people import PASSWORD, Person
from tests.browser.test_accessibility import findings
from tests.browser.test_organising import VIEWS
from tests.browser.window import Window
from tests.support.waiting import eventually

NEW = "another horse battery"
#: What a drop of a file is to a page.
DROP = """(target, [name, text]) => {
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([text], name));
    target.dispatchEvent(new DragEvent("dragover", { dataTransfer, bubbles: true }));
    target.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
}"""


def test_other_sessions_are_ended_and_a_new_password_leaves_only_this_one(
    window: Window, person: Person
) -> None:
    one, other = sign_in(person, PASSWORD), sign_in(person, PASSWORD)
    window.open(person.conversation("hello", "hi"))
    account = opened(window)
    sessions = account.get_by_role("region", name="Where you are signed in")
    rows = sessions.get_by_role("listitem")
    programs = rows.filter(has_text="Firefox on Linux")
    expect(programs).to_have_count(2)
    expect(rows.filter(has_text="This one")).to_have_count(1)

    programs.first.get_by_role("button").press("Enter")
    expect(programs).to_have_count(1)
    assert [may_write(person, token) for token in (one, other)].count(True) == 1

    password = account.get_by_role("region", name="Password")
    password.get_by_label("Current password").fill("not the password")
    password.get_by_label("New password").fill(NEW)
    window.page.keyboard.press("Enter")
    expect(password.get_by_role("alert")).to_have_text("The password is wrong.")
    expect(password.get_by_label("Current password")).to_be_focused()
    window.page.keyboard.type(PASSWORD)
    window.page.keyboard.press("Enter")
    expect(password.get_by_role("status")).to_contain_text("The password is changed.")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("This one")

    assert not any(may_write(person, token) for token in (one, other))
    window.page.keyboard.press("Escape")
    expect(window.button("Account")).to_be_focused()
    window.say("still here")
    expect(window.last).to_contain_text("“still here”")
    sign_in(person, NEW)


def test_what_one_exports_another_imports_by_dropping_the_file(
    window: Window, person: Person, open_window_of: OpenWindow
) -> None:
    person.conversation("Müsli?", "ja, 👍🏽", title="Breakfast")
    long = person.conversation(*("ä" * 100_000 for _ in range(6)), title="A long one")
    expect_count(person, long, 6)
    window.open()
    data = opened(window).get_by_role("region", name="Your data")

    with window.page.expect_download() as download:
        data.get_by_role("button", name="Export").press("Enter")
    expect(data.get_by_role("status")).to_contain_text("Exported 2 conversations")
    text = Path(download.value.path()).read_text()
    lines = [json.loads(line) for line in text.splitlines()]

    assert download.value.suggested_filename.endswith(".jsonl")
    assert {line.get("title") for line in lines[:-1]} == {"Breakfast", "A long one"}
    assert lines[-1]["type"] == "end"

    with Person(person.url, f"{person.name}-two", person.data) as somebody:
        strange = open_window_of(somebody)
        strange.open()
        theirs = opened(strange).get_by_role("region", name="Your data")
        broken = '{"external_id": "x", "messages": [{}]}\nno JSON\n'
        theirs.locator(".drop").evaluate(DROP, ["all.jsonl", broken + text])
        status = theirs.get_by_role("status")
        expect(status).to_have_text(
            "Imported 8 messages of 2 conversations. 2 lines were refused:", timeout=60_000
        )
        expect(theirs.get_by_role("listitem")).to_contain_text(["Line 1: ", "Line 2: "])
        theirs.locator("input[type=file]").set_input_files(
            {"name": "all.jsonl", "mimeType": "", "buffer": text.encode()}
        )
        expect(status).to_contain_text("8 messages were here already.", timeout=60_000)
        strange.page.keyboard.press("Escape")
        link = strange.page.get_by_role("link", name="Breakfast")
        link.click()
        expect(strange.last).to_contain_text("ja, 👍🏽")


def test_an_account_chooses_how_long_its_conversations_are_kept(
    window: Window, person: Person
) -> None:
    window.open(person.conversation("hello", "hi"))
    kept = opened(window).get_by_role("region", name="How long it is kept")
    days = kept.get_by_role("spinbutton")
    expect(kept.get_by_text("36,500 days after their last activity")).to_be_visible()

    days.fill("30")
    window.page.keyboard.press("Enter")
    expect(kept.get_by_role("status")).to_have_text("Saved.")
    assert person.get("/auth/me")["expires_in_days"] == 30
    days.fill("")
    kept.get_by_role("button", name="Save").press("Enter")
    eventually(lambda: person.get("/auth/me")["expires_in_days"] is None)


def test_an_account_goes_when_its_name_is_typed_and_its_password_given(
    window: Window, person: Person
) -> None:
    window.open(person.conversation("hello", "hi"))
    end = opened(window).get_by_role("region", name="The end")
    end.locator("summary").press("Enter")
    name, password = end.get_by_label("Type ", exact=False), end.get_by_label("Password")
    remove = end.get_by_role("button", name="Delete the account")

    name.fill("somebody else")
    password.fill(PASSWORD)
    remove.click()
    expect(end.get_by_role("alert")).to_have_text("This is not your username.")
    name.fill(person.name)
    password.fill("not the password")
    remove.click()
    expect(end.get_by_role("alert")).to_have_text("The password is wrong.")
    password.fill(PASSWORD)
    window.page.keyboard.press("Enter")

    expect(window.page.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(window.page.get_by_text("The account is deleted.")).to_be_visible()
    who = {"username": person.name, "password": PASSWORD}
    assert httpx.post(f"{person.url}/auth/login", json=who).status_code == 401


def test_a_name_is_changed_and_said_where_it_is_shown(window: Window, person: Person) -> None:
    window.open(person.conversation("hello", "hi"))
    who = opened(window).get_by_role("region", name="Who you are")
    who.locator("summary").press("Enter")
    name, password = who.get_by_label("New username"), who.get_by_label("Password")
    new = f"{person.name}.new"

    with Person(person.url, f"{person.name}-taken", person.data) as somebody:
        name.fill(somebody.name)
        password.fill(PASSWORD)
        window.page.keyboard.press("Enter")
        expect(who.get_by_role("alert")).to_have_text("This username is taken.")
    name.fill(new)
    password.fill("not the password")
    window.page.keyboard.press("Enter")
    expect(who.get_by_role("alert")).to_have_text("The password is wrong.")
    expect(password).to_be_focused()
    window.page.keyboard.type(PASSWORD)
    window.page.keyboard.press("Enter")
    expect(who.get_by_role("status")).to_contain_text(f"you sign in as {new}.")
    expect(who.locator("dd").first).to_have_text(new)
    window.page.keyboard.press("Escape")

    expect(window.page.locator(".username")).to_have_text(new)
    answer = httpx.post(
        f"{person.url}/auth/login", json={"username": new, "password": PASSWORD}, timeout=60
    )
    assert answer.status_code == 200


def test_what_models_took_is_told_by_day_and_of_the_limit(window: Window, person: Person) -> None:
    today = datetime.now(UTC)
    conversation = person.conversation("hello", "hi")
    person.use_tokens(conversation, today, 1_200, 34)
    person.use_tokens(conversation, today - timedelta(days=1), 20_000, 5)
    window.open(conversation)

    usage = opened(window).get_by_role("region", name="What models took")
    expect(usage.get_by_text("Today: 1,234 tokens for 1 answer.")).to_be_visible()
    expect(usage.get_by_text("of the 1,000,000 tokens that a day may take")).to_be_visible()
    usage.locator("summary").press("Enter")

    expect(usage.locator("tbody td")).to_have_text(["1", "1,200", "34", "1", "20,000", "5"])


def test_axe_has_nothing_to_say_about_the_account(window: Window, person: Person, axe: str) -> None:
    sign_in(person, PASSWORD)
    person.use_tokens(person.conversation("hello", "hi"), datetime.now(UTC), 1_200, 34)
    window.page.emulate_media(reduced_motion="reduce")
    for width, scheme in VIEWS:
        window.page.set_viewport_size({"width": width, "height": 800})
        window.page.emulate_media(color_scheme=scheme)
        window.open()
        expect(window.messages).to_have_count(2)
        if width < 500:
            window.button("Show conversations").click()
        account = opened(window)
        expect(account.get_by_role("listitem").filter(has_text="Firefox on Linux")).to_be_visible()
        account.get_by_label("Name of the new key").fill(f"{width} {scheme}")
        window.button("Make a key").click()
        expect(account.get_by_label("New key", exact=True)).to_be_visible()
        for summary in account.locator("summary").all():
            summary.click()
        account.locator(".drop").evaluate(DROP, ["none.jsonl", "no JSON"])
        expect(account.get_by_text("1 line was refused:")).to_be_visible()

        assert findings(window, axe) == []
        assert not account.evaluate("dialog => dialog.scrollWidth > dialog.clientWidth")


def opened(window: Window) -> Locator:
    """Open the account's dialog with the keyboard."""
    window.button("Account").press("Enter")
    return window.page.get_by_role("dialog", name="Account")


def sign_in(person: Person, password: str) -> str:
    """Sign in as a program does; return the access token."""
    who = {"username": person.name, "password": password}
    firefox = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/145.0"}
    answer = httpx.post(f"{person.url}/auth/login", json=who, headers=firefox, timeout=60)
    return str(answer.raise_for_status().json()["access_token"])


def may_write(person: Person, token: str) -> bool:
    answer = httpx.post(
        f"{person.url}/api/conversations/", json={}, headers={"Authorization": f"Bearer {token}"}
    )
    return answer.status_code == 202


def expect_count(person: Person, conversation: int, count: int) -> None:
    path = f"/api/conversations/{conversation}"
    eventually(lambda: person.get(path)["message_count"] == count)
