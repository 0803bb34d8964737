"""The parts of a date while it is read: the day, the time, the offset from UTC."""

from __future__ import annotations

from dataclasses import dataclass, field

from carillon.handlebars.dates.calendar import milliseconds

_MOST_DAY_PARTS, _MOST_TIME_PARTS = 3, 4
_HALF_DAY = 12
_FIRST_RANGE, _SECOND_RANGE = 50, 100


def is_month(number: int) -> bool:
    """Tell whether it can be a month."""
    return 1 <= number <= 12  # noqa: PLR2004


def is_day(number: int) -> bool:
    """Tell whether it can be a day of a month."""
    return 1 <= number <= 31  # noqa: PLR2004


def is_hour(number: int) -> bool:
    """Tell whether it can be an hour."""
    return 0 <= number < 24  # noqa: PLR2004


def is_sixtieth(number: int) -> bool:
    """Tell whether it can be a minute or a second."""
    return 0 <= number < 60  # noqa: PLR2004


@dataclass(slots=True)
class Day:
    """Up to three numbers and the name of a month, in whatever order they come."""

    parts: list[int] = field(default_factory=list)
    month: int | None = None
    is_iso: bool = False

    def add(self, number: int) -> bool:
        """Take a number, unless there are enough."""
        if len(self.parts) == _MOST_DAY_PARTS:
            return False
        self.parts.append(number)
        return True

    def resolve(self) -> tuple[int, int, int] | None:
        """Tell the year, the month and the day; None if they are none."""
        if not self.parts:
            return None
        first, second, third = (*self.parts, 1, 1)[:3]
        if self.month is not None:
            # The year comes first if that can be no day.
            month = self.month
            year, day = (second, first) if is_day(first) else (first, second)
        elif self.is_iso or not is_day(first):
            year, month, day = first, second, third
        else:
            month, day, year = first, second, third
        if not self.is_iso:
            year = _full_year(year)
        return (year, month, day) if is_month(month) and is_day(day) else None


def _full_year(year: int) -> int:
    if 0 <= year < _FIRST_RANGE:
        return year + 2000
    return year + 1900 if _FIRST_RANGE <= year < _SECOND_RANGE else year


@dataclass(slots=True)
class Time:
    """Hours, minutes, seconds, milliseconds."""

    parts: list[int] = field(default_factory=list)
    half: int | None = None

    def add(self, number: int) -> bool:
        """Take a number, unless there are enough."""
        if len(self.parts) == _MOST_TIME_PARTS:
            return False
        self.parts.append(number)
        return True

    def finish(self, number: int) -> None:
        """Take the last number."""
        self.add(number)
        self.parts += [0] * (_MOST_TIME_PARTS - len(self.parts))

    def expects(self, number: int) -> bool:
        """Tell whether it began, and this number can come next."""
        most = {1: 60, 2: 60, 3: 1000}.get(len(self.parts), 0)
        return 0 <= number < most

    def resolve(self) -> tuple[int, int, int, int] | None:
        """Tell hours, minutes, seconds and milliseconds; None if they are none."""
        hour, minute, second, millisecond = (*self.parts, 0, 0, 0, 0)[:4]
        if self.half is not None:
            if hour > _HALF_DAY:
                return None
            hour = hour % _HALF_DAY + self.half
        fine = is_hour(hour) and is_sixtieth(minute) and is_sixtieth(second)
        midnight = (hour, minute, second, millisecond) == (24, 0, 0, 0)
        return (hour, minute, second, millisecond) if fine or midnight else None


@dataclass(slots=True)
class Zone:
    """The offset from UTC."""

    sign: int | None = None
    hour: int | None = None
    minute: int | None = None

    @property
    def is_utc(self) -> bool:
        """Tell whether it is UTC so far, to which an offset may be added."""
        return self.hour == 0 and self.minute == 0

    @property
    def is_empty(self) -> bool:
        """Tell whether nothing was said of it."""
        return self.hour is None

    def set(self, hours: int) -> None:
        """Take the offset of a zone that has a name."""
        self.sign = -1 if hours < 0 else 1
        self.hour, self.minute = abs(hours), 0

    def expects(self, number: int) -> bool:
        """Tell whether this can be the minutes after its hours."""
        return self.hour is not None and self.minute is None and is_sixtieth(number)

    def seconds(self) -> int:
        """Tell the offset; text without one is in UTC, for that is where the service runs."""
        if self.sign is None:
            return 0
        return self.sign * ((self.hour or 0) * 3600 + (self.minute or 0) * 60)


def compose(day: Day, time: Time, zone: Zone) -> int | None:
    """Give the milliseconds since 1970, or None if the parts make no date."""
    date, clock = day.resolve(), time.resolve()
    if date is None or clock is None:
        return None
    return milliseconds(*date, *clock) - zone.seconds() * 1000
