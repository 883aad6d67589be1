"""The worker: an AsyncIOScheduler that wakes the jobs, and their graceful end.

The scheduler only wakes jobs. What is due is in the database, so any number of workers can share it.
"""

from app.worker.jobs import Jobs
from app.worker.log_level import following_log_level
from app.worker.lookout import looking_out
from app.worker.running import work_until_told, working

__all__ = ["Jobs", "following_log_level", "looking_out", "work_until_told", "working"]
