"""What Postgres meant by an error, by its SQLSTATE (appendix A of its manual)."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

# serialization_failure and deadlock_detected: undone whole, and likely to pass the next time
_LOST_RACE = frozenset({"40001", "40P01"})
_DISK_FULL = "53100"
# connection exceptions, insufficient resources, operator intervention, system errors
_UNAVAILABLE_CLASSES = ("08", "53", "57", "58")
# a standby that was asked to write, and a transaction that the server gave up
_UNAVAILABLE = frozenset({"25006", "25P03"})


def is_lost_race(error: DBAPIError) -> bool:
    return _sqlstate(error) in _LOST_RACE


def is_disk_full(error: DBAPIError) -> bool:
    return _sqlstate(error) == _DISK_FULL


def is_unavailable(error: DBAPIError) -> bool:
    """The database is away, overloaded or going down, as opposed to a statement that is wrong."""
    state = _sqlstate(error)
    if error.connection_invalidated or isinstance(error, OperationalError | InterfaceError):
        return True
    return state is not None and (state in _UNAVAILABLE or state.startswith(_UNAVAILABLE_CLASSES))


def _sqlstate(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return found if isinstance(found, str) else None
