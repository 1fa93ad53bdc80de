"""Keep embeddings in step with text, by any number of workers. For psycopg 3."""

from .encoding import EncoderFailedError
from .job import EmbedError, Job
from .main import Result, embed
from .registry import Failure, Status, failures, install, status, uninstall
from .worker import EncoderChangedError

__all__ = [
    "EmbedError",
    "EncoderChangedError",
    "EncoderFailedError",
    "Failure",
    "Job",
    "Result",
    "Status",
    "embed",
    "failures",
    "install",
    "status",
    "uninstall",
]
