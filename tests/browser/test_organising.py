"""Pins, the archive, tags, several at once, orders and dates of the list of conversations."""

from typing import Any

import httpx
from playwright.sync_api import Locator, expect

from tests.browser.people import Person
from tests.browser.test_accessibility import Scheme, findings
from tests.browser.window import Window
from tests.support.waiting import eventually

VIEWS: list[tuple[int, Scheme]] = [(360, "light"), (360, "dark"), (1600, "light"), (1600, "dark")]


def test_one_is_pinned_tagged_archived_and_taken_out_again_with_the_keyboard(
    window: Window, person: Person
) -> None:
    for title in ("One", "Two", "Three"):
        person.conversation("hello", f"the answer of {title}", title=title)
    window.open()
    expect(window.entries).to_have_text(["Three", "Two", "One"])
    press = window.page.keyboard.press

    choose(window, "One", "Pin")
    expect(headings(window)).to_have_text(["Pinned", "Today"])
    expect(window.entries).to_have_text(["One", "Three", "Two"])
    expect(more(window, "One")).to_be_focused()

    choose(window, "Two", "Tags …")
    dialog = window.page.get_by_role("dialog", name="Tags of the conversation")
    expect(dialog.get_by_label("New tag")).to_be_focused()
    window.page.keyboard.type("<b>Müsli</b>")
    press("Enter")
    expect(dialog).to_be_hidden()
    expect(more(window, "Two")).to_be_focused()
    folders = window.page.locator(".folders")
    expect(folders.locator("summary")).to_be_visible()
    folders.locator("summary").press("Enter")
    folder = folders.get_by_role("button", name="<b>Müsli</b>")
    folder.press("Enter")
    expect(window.entries).to_have_text(["Two"])
    expect(folder).to_be_focused()
    expect(folder).to_have_attribute("aria-pressed", "true")
    press("Enter")
    expect(window.entries).to_have_text(["One", "Three", "Two"])

    choose(window, "Three", "Archive")
    expect(window.entries).to_have_text(["One", "Two"])
    expect(link(window, "Two")).to_be_focused()
    window.button("Undo").last.press("Enter")
    expect(window.entries).to_have_text(["One", "Three", "Two"])
    choose(window, "Three", "Archive")
    expect(window.entries).to_have_text(["One", "Two"])
    archive = window.button("Show the archive")
    archive.press("Enter")
    expect(window.entries).to_have_text(["Three"])
    choose(window, "Three", "Take out of the archive")
    expect(window.page.get_by_text("Nothing is archived.")).to_be_visible()
    archive.press("Enter")
    expect(window.entries).to_have_text(["One", "Three", "Two"])

    eventually(lambda: organised(person) == {"One": "pin", "Two": "<b>Müsli</b>", "Three": ""})
    window.page.reload()
    expect(window.entries).to_have_text(["One", "Three", "Two"])


def test_several_are_archived_tagged_and_deleted_at_once_each_with_a_way_back(
    window: Window, person: Person
) -> None:
    for n in range(1, 7):
        person.conversation("hello", f"the answer of {n}", title=f"Number {n}")
    window.open()
    expect(window.entries).to_have_count(6)
    bar = window.page.get_by_role("group", name="Select several")

    def select(*titles: str) -> None:
        window.button("Select several").click()
        for title in titles:
            window.page.get_by_role("checkbox", name=f"Select {title}").click()

    window.button("Select several").press("Enter")
    link(window, "Number 6").press(" ")
    window.page.get_by_role("checkbox", name="Select Number 4").click(modifiers=["Shift"])
    expect(bar.get_by_role("status")).to_have_text("3 selected")
    bar.get_by_role("button", name="Archive").press("Enter")
    expect(window.entries).to_have_text(["Number 3", "Number 2", "Number 1"])
    expect(window.button("Select several")).to_be_focused()
    expect(bar).to_be_hidden()
    window.button("Undo").last.click()
    expect(window.entries).to_have_count(6)

    select("Number 1", "Number 2")
    bar.get_by_role("button", name="Tags …").click()
    window.page.get_by_label("New tag").fill("work")
    window.button("Save").click()
    select("Number 2", "Number 3")
    bar.get_by_role("button", name="Tags …").click()
    box = window.page.get_by_role("checkbox", name="work")
    expect(box).to_be_checked(indeterminate=True)
    box.check()
    window.button("Save").click()
    eventually(lambda: [title for title, tag in organised(person).items() if tag == "work"] == [
        "Number 3", "Number 2", "Number 1"
    ])  # fmt: skip

    select("Number 5", "Number 6")
    bar.get_by_role("button", name="Delete").click()
    expect(window.entries).to_have_count(4)
    window.page.get_by_role("status").filter(has_text="Deleted 2 conversations").wait_for()
    window.button("Undo").last.click()
    expect(window.entries).to_have_count(6)
    select()
    bar.get_by_role("button", name="Select all").click()
    link(window, "Number 1").press(" ")
    bar.get_by_role("button", name="Delete").click()
    expect(window.entries).to_have_text(["Number 1"])
    window.button("Dismiss").last.click()
    eventually(lambda: list(organised(person)) == ["Number 1"])

    window.button("Select several").press("Enter")
    link(window, "Number 1").press("Escape")
    expect(bar).to_be_hidden()


def test_the_list_has_three_orders_and_dates_in_two_of_them(window: Window, person: Person) -> None:
    ids = person.import_conversations(120)
    person.conversation("hello", "hi", title="ähnlich")
    person.add(ids[0], "user", "so it moves up")
    eventually(lambda: person.conversations()[0]["id"] == ids[0])
    window.open()
    order = window.page.get_by_role("combobox", name="Order")

    expect(window.entries.first).to_have_text("Conversation 1")
    expect(headings(window)).to_have_text(["Today", "January 2026"])
    order.select_option("Created")
    expect(window.entries.first).to_have_text("ähnlich")
    expect(window.entries.nth(1)).to_have_text("Conversation 120")
    order.select_option("Title")
    expect(headings(window)).to_have_count(0)
    expect(window.entries.nth(1)).to_have_text("Conversation 1")
    expect(window.entries.nth(2)).to_have_text("Conversation 10")

    groups = window.page.evaluate(
        """async () => {
            const { groupsOf } = await import("/web/model/date-groups.js");
            const day = (days) => new Date(2026, 2, 10 - days, 23, 59).toISOString();
            const rows = [-1, 0, 1, 2, 8, 9, 10, 40, 400].map((days) => ({ days, at: day(days) }));
            const groups = groupsOf(rows, (row) => row.at, new Date(2026, 2, 10, 0, 1));
            return groups.map(({ label, rows }) => [label, rows.map((row) => row.days)]);
        }"""
    )
    assert groups == [
        ["Today", [-1, 0]],
        ["Yesterday", [1]],
        ["Previous 7 days", [2, 8]],
        ["March 2026", [9]],
        ["February 2026", [10]],
        ["January 2026", [40]],
        ["February 2025", [400]],
    ]


def test_axe_has_nothing_to_say_about_the_organised_list(
    window: Window, person: Person, axe: str
) -> None:
    for title in ("One", "Two"):
        person.conversation("hello", "hi", title=title)
    change(person, tags=["work"], pinned=True)
    window.page.emulate_media(reduced_motion="reduce")
    for width, scheme in VIEWS:
        window.page.set_viewport_size({"width": width, "height": 800})
        window.page.emulate_media(color_scheme=scheme)
        window.open()
        expect(window.messages).to_have_count(2)
        if width < 500:
            window.button("Show conversations").click()
        window.page.locator(".folders summary").click()
        expect(window.page.locator(".folders button")).to_be_visible()
        window.button("Select several").click()
        link(window, "Two").press(" ")
        assert findings(window, axe) == []
        window.button("Done").click()
        choose(window, "Two", None)
        assert findings(window, axe) == []
        window.page.keyboard.press("ArrowDown")
        window.page.keyboard.press("Enter")
        assert findings(window, axe) == []
        assert not window.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def choose(window: Window, title: str, item: str | None) -> None:
    """Open the menu of an entry with the keyboard, and choose something."""
    link(window, title).focus()
    more(window, title).press("Enter")
    menu = window.page.get_by_role("menu", name=title)
    expect(menu.get_by_role("menuitem").first).to_be_focused()
    if item is None:
        return
    wanted = menu.get_by_role("menuitem", name=item)
    for _ in range(menu.get_by_role("menuitem").all_inner_texts().index(item)):
        window.page.keyboard.press("ArrowDown")
    expect(wanted).to_be_focused()
    window.page.keyboard.press("Enter")
    expect(menu).to_be_hidden()


def more(window: Window, title: str) -> Locator:
    return window.button(f"More: {title}")


def link(window: Window, title: str) -> Locator:
    return window.page.get_by_role("link", name=title, exact=True)


def headings(window: Window) -> Locator:
    """The headings of the groups of the list."""
    return window.page.locator(".group h2:visible")


def organised(person: Person) -> dict[str, str]:
    """Return what is stored of each conversation that is not archived, in one word."""
    return {
        one["title"]: "pin" if one["pinned_at"] else ", ".join(one["tags"] or ())
        for one in person.conversations()
        if one["archived_at"] is None
    }


def change(person: Person, **fields: Any) -> None:
    """Change the latest conversation, as another page would."""
    latest = person.conversations()[0]["id"]
    headers = {"Origin": person.url, "Cookie": f"verbatim_session={person.session}"}
    path = f"{person.url}/api/conversations/{latest}"
    answer = httpx.patch(path, json=fields, headers=headers)
    answer.raise_for_status()
    person.get("/api/conversations/", read_after=answer.json()["entry_id"])
