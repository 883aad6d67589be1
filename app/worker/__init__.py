"""The worker: an AsyncIOScheduler that wakes the jobs, and their graceful end.

The scheduler only wakes. What is due stands in the database, and any number of workers may look there.
"""

from app.worker.jobs import Jobs
from app.worker.running import work_until_told, working

__all__ = ["Jobs", "work_until_told", "working"]
