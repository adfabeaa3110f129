"""The list of conversations: thousands of them, and what can be done with each."""

from playwright.sync_api import Locator, Route, expect

from tests.browser.people import Person
from tests.browser.window import Window
from tests.support.waiting import eventually

MANY = 5_000
#: What the page does when somebody comes back to it.
LOOK = "document.dispatchEvent(new Event('visibilitychange'))"


def test_five_thousand_conversations_load_as_they_are_scrolled_to(
    window: Window, person: Person
) -> None:
    person.import_conversations(MANY)
    window.open()
    expect(window.entries.first).to_have_text(f"Conversation {MANY}")
    assert window.entries.count() <= 100

    scroll_to(window, MANY)

    expect(window.entries.last).to_have_text("Conversation 1")
    window.entries.last.locator("a").click()
    expect(window.entries.last.locator("a")).to_have_attribute("aria-current", "page")
    titles = window.entries.all_text_contents()
    assert titles == [f"Conversation {number}" for number in range(MANY, 0, -1)]
    # What nobody points at has no buttons: with them, thousands would be slow.
    assert window.page.locator(".entries *").count() < 2.1 * MANY


def test_the_open_conversation_has_its_title_though_the_list_does_not_show_it(
    window: Window, person: Person
) -> None:
    oldest = person.conversation("hello", "hi", title="The oldest of all")
    for number in range(51):  # one more than the list begins with
        person.conversation(title=f"Conversation {number}")
    window.open(oldest)
    expect(window.page).to_have_title("The oldest of all · Verbatim")

    window.open()
    expect(window.page).to_have_title("Conversation 50 · Verbatim")
    window.page.get_by_role("searchbox", name="Search").fill("no such title")
    expect(window.page.get_by_text("No title contains this.")).to_be_visible()

    expect(window.page.get_by_role("heading", name="Conversation 50")).to_be_visible()


def test_what_one_writes_in_moves_to_the_top(window: Window, person: Person) -> None:
    person.conversation("one?", "first answer", title="First")
    person.conversation("two?", "second answer", title="Second")
    window.open()
    expect(window.entries).to_have_text(["Second", "First"])

    window.page.get_by_role("link", name="First").click()
    expect(window.last).to_contain_text("first answer")
    window.say("three?")

    # Not only when the page looks around by itself, every 10 s.
    expect(window.entries).to_have_text(["First", "Second"], timeout=6_000)


def test_a_title_is_changed_in_its_place(window: Window, person: Person) -> None:
    conversation = person.conversation("hello", "hi", title="Before")
    window.open()

    window.entries.first.hover()
    window.button("Rename: Before").click()
    window.page.get_by_role("textbox", name="Title of Before").fill("After")
    window.page.keyboard.press("Enter")

    expect(window.entries).to_have_text(["After"])
    expect(window.page).to_have_title("After · Verbatim")
    path = f"/api/conversations/{conversation}"
    eventually(lambda: person.get(path)["title"] == "After")
    window.page.reload()
    expect(window.entries).to_have_text(["After"])


def test_escape_leaves_a_title_as_it_was(window: Window, person: Person) -> None:
    person.conversation("hello", "hi", title="Before")
    window.open()

    window.page.get_by_role("link", name="Before").focus()
    window.page.keyboard.press("F2")
    window.page.keyboard.type("No, rather not")
    window.page.keyboard.press("Escape")

    expect(window.entries).to_have_text(["Before"])
    expect(window.page.get_by_role("link", name="Before")).to_be_focused()


def test_a_deletion_can_be_taken_back(window: Window, person: Person) -> None:
    kept = person.conversation("hello", "hi", title="Keep me")
    person.conversation("hello", "the other one", title="Other")
    window.open(kept)
    expect(window.last).to_contain_text("hi")

    window.entries.filter(has_text="Keep me").hover()
    window.button("Delete: Keep me").click()
    expect(window.entries).to_have_text(["Other"])
    expect(window.last).to_contain_text("the other one")
    window.button("Undo").click()

    expect(window.entries).to_have_text(["Other", "Keep me"])
    expect(window.last).to_contain_text("hi")
    assert window.conversation == kept
    assert len(person.conversations()) == 2


def test_a_deletion_that_nobody_takes_back_is_made(window: Window, person: Person) -> None:
    person.conversation("hello", "hi", title="Delete me")
    person.conversation("hello", "the other one", title="Other")
    window.open()

    window.entries.filter(has_text="Delete me").hover()
    window.button("Delete: Delete me").click()
    window.button("Dismiss").click()
    expect(window.entries).to_have_text(["Other"])
    window.page.reload()

    expect(window.entries).to_have_text(["Other"])
    assert [found["title"] for found in person.conversations()] == ["Other"]


def test_leaving_the_page_makes_a_deletion_that_was_not_taken_back(
    window: Window, person: Person
) -> None:
    person.conversation("hello", "hi", title="Delete me")
    person.conversation("hello", "the other one", title="Other")
    window.open()
    window.entries.filter(has_text="Delete me").hover()
    window.button("Delete: Delete me").click()

    window.page.goto(f"{window.url}/livez")

    eventually(lambda: [found["title"] for found in person.conversations()] == ["Other"])


def test_titles_can_be_searched(window: Window, person: Person) -> None:
    person.import_conversations(200)
    person.conversation("hello", "hi", title="Müsli für 100% Ümit")
    window.open()
    search = window.page.get_by_role("searchbox", name="Search")

    search.fill("ürsli")
    expect(window.page.get_by_text("No title contains this.")).to_be_visible()
    search.fill("100% ü")
    expect(window.entries).to_have_text(["Müsli für 100% Ümit"])
    search.fill("conversation 17")
    expect(window.entries).to_have_count(11)
    expect(window.page.get_by_role("status").filter(has_text="11 conversations")).to_have_count(1)
    search.press("Escape")

    expect(window.entries.first).to_have_text("Müsli für 100% Ümit")
    expect(window.entries.nth(1)).to_have_text("Conversation 200")


def test_a_search_shows_what_it_finds_and_its_end_all_that_there_is(
    window: Window, person: Person
) -> None:
    ids = person.import_conversations(300)
    person.rename_imported(ids[::2], "Apple")
    window.open()
    scroll_to(window, 150)
    search = window.page.get_by_role("searchbox", name="Search")

    search.fill("apple")
    expect(window.entries.first).to_have_text("Apple")
    scroll_to(window, 150)
    found = window.entries.all_text_contents()
    search.press("Escape")
    expect(window.entries.first).to_have_text("Conversation 300")
    scroll_to(window, 300)

    assert found == ["Apple"] * 150
    assert len(window.entries.all_text_contents()) == 300


def test_a_page_of_an_earlier_search_that_comes_late_is_not_shown(
    window: Window, person: Person
) -> None:
    ids = person.import_conversations(300)
    person.rename_imported(ids[:3], "Apple")
    window.open()
    expect(window.entries).not_to_have_count(0)
    late: list[Route] = []
    window.page.route("**/api/conversations/*cursor=*", lambda route: late.append(route))  # noqa: PLW0108

    with window.page.expect_request("**/api/conversations/*cursor=*"):
        scroller = window.page.locator(".entries-scroller")
        scroller.evaluate("list => list.scrollTop = list.scrollHeight")
    window.page.get_by_role("searchbox", name="Search").fill("apple")
    expect(window.entries).to_have_text(["Apple"] * 3)
    late.pop().continue_()
    window.page.evaluate(LOOK)

    expect(window.entries).to_have_text(["Apple"] * 3)


def test_nothing_leaves_the_list_because_of_the_digits_of_its_time(
    window: Window, person: Person
) -> None:
    person.import_conversations(150)
    window.open()
    scroll_to(window, 150)

    with window.page.expect_response("**/api/conversations/?*"):
        window.page.evaluate(LOOK)
    order = window.page.evaluate(
        """async () => {
            const { microsOf } = await import("/web/model/times.js");
            const at = (time) => microsOf(`2026-01-01T00:00:${time}Z`);
            const times = ["17.765", "17", "17.000001", "18.000000", "17.765001"];
            return times.toSorted((one, other) => at(one) - at(other));
        }"""
    )

    expect(window.entries).to_have_count(150)
    assert order == ["17", "17.000001", "17.765", "17.765001", "18.000000"]


def test_what_was_deleted_elsewhere_leaves_the_list_however_far_down_it_is(
    window: Window, person: Person
) -> None:
    ids = person.import_conversations(220)
    window.open()
    scroll_to(window, 150)

    person.delete(ids[100])
    person.conversation(title="A new one, so that there are as many as before")
    window.page.evaluate(LOOK)

    expect(link(window, "Conversation 101")).to_have_count(0)
    expect(link(window, "Conversation 100")).to_have_count(1)
    expect(link(window, "Conversation 102")).to_have_count(1)


def test_what_turns_out_not_to_exist_leaves_the_list(window: Window, person: Person) -> None:
    ids = person.import_conversations(120)
    window.open()
    scroll_to(window, 120)
    window.page.route("**/api/conversations/?*", lambda route: route.abort())

    person.delete(ids[0])
    link(window, "Conversation 1").click()

    expect(window.page.get_by_text("This conversation does not exist")).to_be_visible()
    expect(window.entries.last).to_have_text("Conversation 2")


def test_what_moves_up_while_the_list_is_scrolled_is_missed_by_nobody(
    window: Window, person: Person
) -> None:
    ids = person.import_conversations(400)
    window.open()
    scroll_to(window, 150)

    person.touch(ids[:120])  # from below what was loaded, and more than a page
    scroll_to(window, 280)
    window.page.evaluate(LOOK)

    expect(window.entries).to_have_count(400)
    titles = window.entries.all_text_contents()
    assert len(set(titles)) == 400


def test_everything_in_the_list_can_be_done_from_the_keyboard(
    window: Window, person: Person
) -> None:
    for name in ("One", "Two", "Three"):
        person.conversation("hello", f"the answer of {name}", title=name)
    window.open()
    expect(window.entries).to_have_text(["Three", "Two", "One"])
    press = window.page.keyboard.press

    window.page.get_by_role("searchbox").focus()
    press("ArrowDown")
    press("ArrowDown")
    expect(link(window, "Two")).to_be_focused()
    press("Enter")
    expect(window.last).to_contain_text("the answer of Two")
    press("End")
    expect(link(window, "One")).to_be_focused()
    press("Delete")
    expect(window.entries).to_have_text(["Three", "Two"])
    expect(link(window, "Two")).to_be_focused()
    press("F2")
    window.page.keyboard.type("Renamed")
    press("Enter")

    # A new title is a change, and what changed last stands first.
    expect(window.entries).to_have_text(["Renamed", "Three"])
    expect(link(window, "Renamed")).to_be_focused()


def test_an_entry_that_moves_up_keeps_the_focus_also_while_its_title_is_edited(
    window: Window, person: Person
) -> None:
    older = person.conversation("hello", "hi", title="Older")
    newer = person.conversation("hello", "hi", title="Newer")
    window.open()
    expect(window.entries).to_have_text(["Newer", "Older"])

    def moves_up(conversation: int) -> None:
        person.get("/api/conversations/", read_after=person.add(conversation, "user", "more"))
        window.page.evaluate(LOOK)

    link(window, "Older").focus()
    moves_up(older)
    expect(window.entries).to_have_text(["Older", "Newer"])
    expect(link(window, "Older")).to_be_focused()

    link(window, "Newer").focus()
    window.page.keyboard.press("F2")
    moves_up(newer)
    expect(window.entries.nth(1)).to_have_text("Older")
    expect(window.page.locator(".title-field")).to_be_focused()
    window.page.keyboard.type("Renamed")
    window.page.keyboard.press("Enter")
    expect(link(window, "Renamed")).to_be_focused()


def test_tab_goes_through_the_parts_not_through_thousands_of_conversations(
    window: Window, person: Person
) -> None:
    person.import_conversations(300)
    window.open()
    expect(window.entries.first).to_be_visible()
    window.page.get_by_role("searchbox").focus()
    presses = 0

    while focused(window) != "Message":
        window.page.keyboard.press("Tab")
        presses += 1
        assert presses < 18

    expect(window.composer).to_be_focused()


def test_a_narrow_window_has_a_drawer_that_gives_the_focus_back(
    window: Window, person: Person
) -> None:
    person.conversation("hello", "an answer", title="The other one")
    person.conversation("hello", "hi", title="The last one")
    window.page.set_viewport_size({"width": 390, "height": 780})
    window.open()
    expect(window.last).to_contain_text("hi")
    sidebar = window.page.get_by_role("navigation", name="Conversations")
    expect(sidebar).to_be_hidden()

    window.button("Show conversations").click()
    expect(sidebar).to_be_visible()
    window.page.keyboard.press("Escape")
    expect(sidebar).to_be_hidden()
    expect(window.button("Show conversations")).to_be_focused()
    window.page.keyboard.press("Enter")
    link(window, "The other one").click()

    expect(sidebar).to_be_hidden()
    expect(window.last).to_contain_text("an answer")
    assert not window.page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_the_theme_follows_the_system_until_one_is_chosen(window: Window, person: Person) -> None:
    window.page.emulate_media(color_scheme="dark")
    window.open()
    expect(window.composer).to_be_visible()
    assert is_dark(window)

    window.button("Theme: as the system").click()
    assert not is_dark(window)
    window.page.reload()
    expect(window.composer).to_be_visible()

    assert not is_dark(window)
    window.button("Theme: light").click()
    assert is_dark(window)


def scroll_to(window: Window, count: int) -> None:
    """Scroll down until so many conversations are there."""
    scroller = window.page.locator(".entries-scroller")
    window.page.wait_for_function(
        """([scroller, count]) => {
            scroller.scrollTop = scroller.scrollHeight;
            return scroller.querySelectorAll("li").length >= count;
        }""",
        arg=[scroller.element_handle(), count],
    )


def link(window: Window, title: str) -> Locator:
    return window.page.get_by_role("link", name=title, exact=True)


def focused(window: Window) -> str:
    """Return the label of what has the focus."""
    return str(
        window.page.evaluate(
            "document.querySelector('verbatim-chat').shadowRoot.activeElement?.ariaLabel ?? ''"
        )
    )


def is_dark(window: Window) -> bool:
    colour = window.page.locator("verbatim-chat").evaluate(
        "element => getComputedStyle(element).backgroundColor"
    )
    return bool(colour == "rgb(22, 22, 24)")
