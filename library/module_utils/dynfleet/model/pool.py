"""A few threads that take tasks in order of importance; the first error ends all."""

from __future__ import annotations

import itertools
import queue
import threading
from typing import Callable

Task = Callable[[], None]


class Stopped(Exception):
    """Another task failed: this one ends."""


class Pool:
    """Tasks may add tasks. A lower order is taken first."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.waiting: queue.PriorityQueue[tuple[int, int, Task | None]] = queue.PriorityQueue()
        self.count = itertools.count()
        self.left = 0
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.errors: list[BaseException] = []

    def add(self, order: int, task: Task) -> None:
        """Add a task."""
        with self.lock:
            self.left += 1
        self.waiting.put((order, next(self.count), task))

    def run(self) -> None:
        """Do all tasks; raises the first error when every thread has ended."""
        if self.left == 0:
            return
        workers = [threading.Thread(target=self._work) for _ in range(self.threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.errors:
            raise self.errors[0]

    def _work(self) -> None:
        while (task := self.waiting.get()[2]) is not None:
            try:
                if not self.stop.is_set():
                    task()
            except Stopped:
                pass
            except BaseException as error:
                self.errors.append(error)
                self.stop.set()
            with self.lock:
                self.left -= 1
                ended = self.left == 0
            if ended:
                for _ in range(self.threads):
                    self.waiting.put((-1, next(self.count), None))
