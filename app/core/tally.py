"""The numbers behind the metrics: a row of memory for each process, shared by the processes of one service.

Adding to a number takes a fraction of a microsecond, and what is counted survives the process that counted it. Whoever
takes over the row of a dead process goes on counting where that one ended, so no number ever falls.
"""

import fcntl
import mmap
import os
from collections.abc import Iterable
from threading import Lock
from typing import TypeAlias

NUMBERS = 16_384  # in a row; 8 bytes each
ROWS = 80  # as many processes as WEB_CONCURRENCY allows, and some that replace them
ROW_BYTES = NUMBERS * 8

Row: TypeAlias = "memoryview[float]"


class Tally:
    """The numbers of this process, and a view of those of all processes that share them.

    A process that shares with nobody has the row 0.
    """

    def __init__(self) -> None:
        self.lock = Lock()
        self.row: Row = memoryview(bytearray(ROW_BYTES)).cast("d")
        self.number = 0
        self._file: int | None = None
        self._rows: list[Row] = []

    def share(self) -> None:
        """Make the memory that copies of this process share. Linux only.

        It is anonymous: there is no file to clear, no directory with rights, and no disk to be full.
        """
        self._file = os.memfd_create("metrics")
        os.ftruncate(self._file, ROWS * ROW_BYTES)
        shared = memoryview(mmap.mmap(self._file, ROWS * ROW_BYTES))
        self._rows = [shared[at : at + ROW_BYTES].cast("d") for at in range(0, ROWS * ROW_BYTES, ROW_BYTES)]

    def join(self) -> bool:
        """In a copy: take a row that no live process has. False if there is none: then this one counts for itself."""
        for number, row in enumerate(self._rows):
            if self._try_lock(number):
                self.row, self.number = row, number
                return True
        return not self._rows

    def live(self) -> dict[int, Row]:
        """The rows of the processes that are alive, by their numbers."""
        if not self._rows or self.row is not self._rows[self.number]:
            return {self.number: self.row}
        return {number: row for number, row in enumerate(self._rows) if self._is_taken(number)}

    def totals(self, used: int, is_used: int) -> list[float]:
        """The first `used` numbers, each added up over all processes, dead ones too.

        A row counts if a process ever had it: then its number at `is_used` is not 0.
        """
        if not self._rows or self.row is not self._rows[self.number]:
            return list(self.row[:used])
        rows: Iterable[Row] = [row[:used] for row in self._rows if row[is_used]]
        return [sum(numbers) for numbers in zip(*rows, strict=True)]

    def _is_taken(self, number: int) -> bool:
        """True if a live process has the row. The system ends the locks of a process with the process."""
        if number == self.number:
            return True  # asking would end our own lock
        if not self._try_lock(number):
            return True
        fcntl.lockf(self._file or 0, fcntl.LOCK_UN, 1, number)
        return False

    def _try_lock(self, number: int) -> bool:
        try:
            fcntl.lockf(self._file or 0, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, number)
        except OSError:
            return False
        return True
