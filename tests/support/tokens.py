"""Access tokens made by hand, right ones and wrong ones."""

import base64
import json
import time
from typing import Any

import jwt

from api.accounts.tokens import ALGORITHM, AUDIENCE, ISSUER, TYPE, key_name


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {
        "sub": "1",
        "sid": "",
        "iat": now,
        "nbf": now,
        "exp": now + 900,
        "jti": "1",
        "iss": ISSUER,
        "aud": AUDIENCE,
    }
    return {name: value for name, value in (good | changes).items() if value is not None}


def signed(key: str = "k" * 32, algorithm: str = ALGORITHM, **changes: Any) -> str:
    headers = {"typ": TYPE, "kid": key_name("k" * 32)}
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def unsigned() -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part(claims())}."
