"""Sign-in by an identity provider: only tokens signed with its keys are accepted."""

import json
import socket
import socketserver
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from api.accounts.oidc import FETCH_SECONDS
from tests.chat.events import STREAM, events
from tests.support.api import Api, StartApi
from tests.support.model_server import held, model_server
from tests.support.tokens import signed

ISSUER, AUDIENCE = "https://id.example", "verbatim-of-example"
KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
STRANGER = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_set() -> bytes:
    keys = []
    for algorithm, key in KEYS.items():
        shown = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
        keys.append(shown | {"kid": algorithm, "alg": algorithm, "use": "sig"})
    return json.dumps({"keys": keys}).encode()


class KeyServer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = key_set()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its own name
        pass


@pytest.fixture(scope="module")
def jwks_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), KeyServer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def api(start_api: StartApi, jwks_url: str) -> Api:
    return start_api(oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=jwks_url)


def external(
    algorithm: str = "RS256", key: Any = None, headers: dict[str, Any] | None = None, **changes: Any
) -> str:
    now = int(time.time())
    good = {"sub": "ada", "iat": now, "exp": now + 300, "iss": ISSUER, "aud": AUDIENCE}
    claims = {name: value for name, value in (good | changes).items() if value is not None}
    sent = {"kid": algorithm} | (headers or {})
    return jwt.encode(claims, key or KEYS[algorithm], algorithm=algorithm, headers=sent)


def me(api: Api, token: str) -> httpx.Response:
    return httpx.get(f"{api.url}/auth/me", headers={"Authorization": f"Bearer {token}"})


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_user_is_created_at_the_first_token_of_a_subject(api: Api, algorithm: str) -> None:
    first = me(api, external(algorithm, sub=f"person {algorithm}"))
    again = me(api, external(algorithm, sub=f"person {algorithm}", jti="another token"))
    other = me(api, external(algorithm, sub="another"))

    assert first.status_code == 200
    assert first.json() == again.json()
    assert other.json()["id"] != first.json()["id"]


def test_a_user_of_the_issuer_writes_and_reads(api: Api) -> None:
    headers = {"Authorization": f"Bearer {external()}"}

    opened = httpx.post(f"{api.url}/api/conversations/", json={}, headers=headers)

    assert opened.status_code == 202


def test_deleting_an_account_of_the_issuer_cuts_its_streams(
    start_api: StartApi, jwks_url: str
) -> None:
    goes_on = threading.Event()
    with model_server() as model:
        model.script.append(held(goes_on))
        issued = {"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks_url": jwks_url}
        asked = {"assistant": "openai", "openai_base_url": model.url, "openai_api_key": "none"}
        api = start_api(**issued, **asked)
        bearer = {"Authorization": f"Bearer {external(sub='going')}"}
        with closing(api.client()) as here, closing(api.client()) as there:
            here.headers.update(bearer)
            session = here.post("/api/chat/start").json()["sessionId"]
            path = f"/api/chat/{session}/message"
            with here.stream("POST", path, json={"message": "Why?"}, headers=STREAM) as answer:
                seen = []
                with suppress(httpx.TransportError):
                    for event in events(answer):
                        seen.append(event["event"])
                        if seen == ["start", "delta"]:
                            gone = there.post("/auth/me/delete", json={}, headers=bearer)
                            assert gone.status_code == 204
                    pytest.fail("the stream came to its end")
        goes_on.set()

    assert seen == ["start", "delta"]


def test_the_issuers_subject_takes_over_no_account_of_that_name(api: Api) -> None:
    with closing(api.person()) as person:
        known = person.get("/auth/me").json()

    seen = me(api, external(sub=known["username"], email=known["email"], email_verified=True))

    assert seen.json()["id"] != known["id"]
    assert seen.json()["username"].startswith("ext:")
    password = {"username": seen.json()["username"], "password": ""}
    assert httpx.post(f"{api.url}/auth/login", json=password).status_code == 401


def public_pem() -> bytes:
    pem: bytes = (
        KEYS["RS256"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return pem


def confused() -> str:
    """HS256, with the issuer's public key for a secret: the oldest trick."""
    jws = jwt.PyJWS()
    hmac = get_default_algorithms()["HS256"]
    hmac.prepare_key = lambda key: key  # type: ignore[method-assign] # it refuses PEMs
    jws._algorithms["HS256"] = hmac
    payload = jwt.decode(external(), options={"verify_signature": False})
    return jws.encode(json.dumps(payload).encode(), public_pem(), "HS256", {"kid": "RS256"})


FORGED: dict[str, Callable[[], str]] = {
    "a stranger's key": lambda: external(key=STRANGER),
    "a key under another algorithm's name": lambda: external("RS256", headers={"kid": "ES256"}),
    "another RSA algorithm": lambda: external("RS512", KEYS["RS256"], headers={"kid": "RS256"}),
    "the public key as a secret": confused,
    "unknown kid": lambda: external(headers={"kid": "unknown"}),
    "a key set of its own": lambda: external(headers={"jku": "http://evil.example"}),
    "critical header": lambda: external(headers={"crit": ["x"], "x": 1}),
    "expired": lambda: external(exp=1),
    "not yet": lambda: external(nbf=4_000_000_000),
    "another issuer": lambda: external(iss="https://evil.example"),
    "another audience": lambda: external(aud="another app"),
    "no audience": lambda: external(aud=None),
    "no subject": lambda: external(sub=None),
    "empty subject": lambda: external(sub=""),
    "no end": lambda: external(exp=None),
    "too long": lambda: external(pad="x" * 20_000),
    "truncated": lambda: external()[:-4],
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
def test_a_token_that_the_issuer_did_not_sign_for_us_is_refused(
    api: Api, forged: Callable[[], str]
) -> None:
    assert me(api, forged()).status_code == 401


def test_our_own_tokens_are_accepted_beside_those_of_the_issuer(api: Api) -> None:
    with closing(api.person()) as person:
        assert person.get("/auth/me").status_code == 200


def test_without_an_issuer_its_tokens_are_refused(start_api: StartApi) -> None:
    plain = start_api()

    assert me(plain, external()).status_code == 401
    assert me(plain, signed(sub="1")).status_code == 401


class Broken(socketserver.BaseRequestHandler):
    """Answers each request with its server's `reply`; None ends the connection by a reset."""

    def handle(self) -> None:
        self.request.recv(65_536)
        reply: bytes | None = self.server.reply  # type: ignore[attr-defined]
        if reply is None:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()
        else:
            self.request.sendall(reply)


@contextmanager
def broken_issuer(reply: bytes | None) -> Iterator[str]:
    with socketserver.TCPServer(("127.0.0.1", 0), Broken) as server:
        server.reply = reply  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/keys"
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def no_issuer() -> Iterator[str]:
    yield "http://127.0.0.1:1/keys"


@pytest.mark.parametrize(
    "issuer",
    [
        pytest.param(no_issuer, id="unreachable"),
        pytest.param(lambda: broken_issuer(None), id="resets"),
        pytest.param(lambda: broken_issuer(b""), id="says nothing"),
        pytest.param(lambda: broken_issuer(b"HTTP/1.1 500 No\r\n\r\n"), id="an error"),
        pytest.param(lambda: broken_issuer(b"HTTP/1.1 200 OK\r\n\r\n<html>"), id="no JSON"),
        pytest.param(lambda: broken_issuer(b"HTTP/1.1 200 OK\r\n\r\n[]"), id="no key set"),
        pytest.param(lambda: broken_issuer(b'HTTP/1.1 200 OK\r\n\r\n{"keys": []}'), id="no keys"),
    ],
)
def test_an_issuer_that_tells_no_keys_is_a_503(
    start_api: StartApi, issuer: Callable[[], AbstractContextManager[str]]
) -> None:
    with issuer() as url:
        without_keys = start_api(oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=url)

        assert me(without_keys, external()).status_code == 503
        with closing(without_keys.person()) as person:
            assert person.get("/auth/me").status_code == 200


def test_requests_do_not_wait_for_one_another_while_the_issuer_is_silent(
    start_api: StartApi,
) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=16) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/keys"
        api = start_api(oidc_issuer=ISSUER, oidc_audience=AUDIENCE, oidc_jwks_url=url)
        started = time.monotonic()
        with ThreadPoolExecutor(5) as clients:
            answers = list(clients.map(lambda _: me(api, external()).status_code, range(5)))

    assert answers == [503] * 5
    assert time.monotonic() - started < 3 * FETCH_SECONDS  # five attempts take five times as long
