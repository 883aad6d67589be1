"""The channels of messages, by leaping through an index from one channel to the next."""

from collections.abc import Collection

from sqlalchemy import ARRAY, ColumnElement, ColumnExpressionArgument, String, any_, bindparam, func, select
from sqlalchemy.orm import Session

from app.models import Notification


def channels_of(session: Session, which: ColumnExpressionArgument[bool]) -> set[str]:
    """The channels of these messages.

    Reads a few pages of an index that begins with the channel, however many messages there are.
    """
    first = select(func.min(Notification.channel).label("channel")).where(which).cte("found", recursive=True)
    following = select(func.min(Notification.channel)).where(which, Notification.channel > first.c.channel)
    found = first.union_all(select(following.scalar_subquery()).where(first.c.channel.is_not(None)))
    return set(session.scalars(select(found.c.channel).where(found.c.channel.is_not(None))))


def of_channels(channels: Collection[str]) -> ColumnElement[bool]:
    """True for messages of these channels.

    An array, because PostgreSQL takes IN with one value for =, and then the order by channel for no order at all.
    """
    return Notification.channel == any_(bindparam("channels", list(channels), type_=ARRAY(String)))
