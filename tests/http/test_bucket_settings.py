"""What settings say of a bucket: all of it, or nothing."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from api.core.settings import Settings, describe_errors

SECRET = "the-secret-of-the-bucket"
KEYS = {"assets_access_key_id": "id-of-the-key", "assets_secret_access_key": SECRET}
WHOLE: dict[str, Any] = {"assets_url": "s3://files/of/chats/", **KEYS}


def test_without_a_bucket_files_go_to_postgresql() -> None:
    known = Settings(_env_file=None)

    assert known.bucket is None
    assert not known.new_files_go_to_bucket


def test_a_bucket_is_at_aws_unless_an_endpoint_is_named() -> None:
    aws = Settings(_env_file=None, **WHOLE, assets_region="eu-central-1")
    other = Settings(_env_file=None, **WHOLE, assets_endpoint="HTTPS://S3.example.com:443/")
    assert aws.bucket
    assert other.bucket

    assert (aws.bucket.name, aws.bucket.prefix) == ("files", "of/chats")
    assert aws.bucket.endpoint == "https://s3.eu-central-1.amazonaws.com"
    assert other.bucket.endpoint == "https://s3.example.com"
    assert aws.new_files_go_to_bucket
    assert not Settings(_env_file=None, **WHOLE, assets_store="postgresql").new_files_go_to_bucket
    assert SECRET not in repr(aws) + repr(aws.bucket)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"assets_url": "s3://files"}, "ASSETS_URL needs ASSETS_ACCESS_KEY_ID and"),
        (WHOLE | {"assets_secret_access_key": ""}, "ASSETS_URL needs ASSETS_ACCESS_KEY_ID and"),
        (KEYS, "need ASSETS_URL"),
        ({"assets_endpoint": "https://s3.example.com"}, "need ASSETS_URL"),
        ({"assets_store": "s3"}, "need ASSETS_URL"),
        (WHOLE | {"assets_url": f"s3://id:{SECRET}@files"}, "it must be s3://BUCKET"),
        (WHOLE | {"assets_url": "https://files"}, "it must be s3://BUCKET"),
        (WHOLE | {"assets_url": "s3://files/../others"}, "it must be s3://BUCKET"),
        (WHOLE | {"assets_endpoint": f"https://{SECRET}/x"}, "without a path"),
        (WHOLE | {"assets_store": "bucket"}, "ASSETS_STORE"),
    ],
)
def test_half_a_bucket_stops_the_start_with_one_line(known: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(_env_file=None, **known)

    [line] = describe_errors(refused.value)
    assert said in line
    assert SECRET not in str(refused.value) + line


def test_a_bucket_wants_a_package_that_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)

    with pytest.raises(ValidationError, match=r"requirements-s3\.txt"):
        Settings(_env_file=None, **WHOLE)


@pytest.mark.slow
def test_nothing_of_it_is_loaded_where_there_is_no_bucket() -> None:
    code = (
        "import sys, api.main, workers.process; from api.core import bucket, settings;"
        "bucket.Bucket.of(settings.Settings(_env_file=None)); print('obstore' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
