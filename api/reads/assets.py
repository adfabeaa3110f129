"""Reads of assets, always by owner: with another owner's id every method finds nothing."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, tuple_
from sqlalchemy.orm import defer, undefer
from sqlmodel import Session, col, func, or_, select

from api.core import assets
from api.core.models.assets import Asset, AssetUse

#: Up to many megabytes.
_DATA: Final[Any] = Asset.data


class Page(NamedTuple):
    """Some of an owner's assets, without their bytes, and how many bytes all of them have."""

    assets: Sequence[Asset]
    total_bytes: int


class AssetRepository:
    """The assets of one owner."""

    def __init__(self, session: Session, owner: int) -> None:
        self._session = session
        self._mine = _of(owner)

    def get(self, asset_id: str, *, with_data: bool = False) -> Asset | None:
        """Return an asset, with its bytes or without."""
        statement = select(Asset).where(self._mine, Asset.id == asset_id)
        bytes_or_not = undefer(_DATA) if with_data else defer(_DATA)
        return self._session.exec(statement.options(bytes_or_not)).one_or_none()

    def some(self, asset_ids: Collection[str]) -> dict[str, Asset]:
        """Return those of these that are there, likewise, by their ids."""
        statement = (
            select(Asset).where(self._mine, col(Asset.id).in_(asset_ids)).options(defer(_DATA))
        )
        return {asset.id: asset for asset in self._session.exec(statement)}

    def page(self, after: str | None, limit: int) -> Page:
        """Return the latest ones, or those before one that was on the last page."""
        place = (col(Asset.created_at), col(Asset.id))
        statement = select(Asset).where(self._mine).options(defer(_DATA))
        total = self.total_bytes()
        if after is not None:
            last = self.get(after)
            if last is None:
                return Page([], total)
            statement = statement.where(tuple_(*place) < tuple_(last.created_at, last.id))
        latest = statement.order_by(*(column.desc() for column in place)).limit(limit)
        return Page(self._session.exec(latest).all(), total)

    def following(self, last: str, until: datetime, *, limit: int) -> list[str]:
        """Return ids in their order, those after one, of what was uploaded until a time."""
        statement = (
            select(Asset.id)
            .where(self._mine, Asset.id > last, col(Asset.created_at) <= until)
            .order_by(col(Asset.id))
            .limit(limit)
        )
        return list(self._session.exec(statement))

    def total_bytes(self) -> int:
        """Return how many bytes all of the owner's assets have."""
        total = select(func.coalesce(func.sum(Asset.size), 0)).where(self._mine)
        return int(self._session.exec(total).one())

    def nameable(self, asset_ids: Collection[str]) -> set[str]:
        """Return those of these that a new message may name: they will not go before it is there.

        That is what messages name already, and uploads of the last FRESH_HOURS.
        """
        is_used = select(AssetUse.asset_id).where(AssetUse.asset_id == Asset.id).exists()
        age = func.now() - col(Asset.created_at)
        is_fresh = age < func.make_interval(0, 0, 0, 0, assets.FRESH_HOURS)
        statement = select(Asset.id).where(
            self._mine, col(Asset.id).in_(asset_ids), or_(is_used, is_fresh)
        )
        return set(self._session.exec(statement))


def _of(owner: int) -> ColumnElement[bool]:
    return col(Asset.user_id) == owner
