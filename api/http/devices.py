"""From a User-Agent to a few words: which program, on which system. Nothing else of it is kept."""

from typing import Final

#: What is in the header, and what it says; the first that is found counts, since most of them name
#: others, too, whose pages they want.
_PROGRAMS: Final = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("Vivaldi/", "Vivaldi"), ("YaBrowser/", "Yandex")),
    *(("SamsungBrowser/", "Samsung Internet"), ("Firefox/", "Firefox"), ("FxiOS/", "Firefox")),
    *(("Chrome/", "Chrome"), ("CriOS/", "Chrome"), ("Chromium/", "Chromium")),
    *(("Safari/", "Safari"), ("curl/", "curl"), ("Wget/", "Wget"), ("python-httpx/", "httpx")),
    *(("python-requests/", "Requests"), ("aiohttp/", "aiohttp"), ("okhttp/", "OkHttp")),
    *(("node", "Node.js"), ("Go-http-client/", "Go"), ("PostmanRuntime/", "Postman")),
)
_SYSTEMS: Final = (
    *(("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS")),
    *(("Windows", "Windows"), ("Macintosh", "macOS"), ("FreeBSD", "FreeBSD"), ("Linux", "Linux")),
)
#: Bytes of the header that are looked at.
_LOOKED_AT: Final = 512


def device_of(user_agent: str) -> str | None:
    """Return `Firefox on Linux`, say, or one of both; None where neither is known."""
    header = user_agent[:_LOOKED_AT]
    found = [
        next((words for mark, words in known if mark in header), None)
        for known in (_PROGRAMS, _SYSTEMS)
    ]
    return " on ".join(filter(None, found)) or None
