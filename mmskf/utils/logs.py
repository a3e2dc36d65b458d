"""Where log messages go."""
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logs_to_stderr(program: str) -> Iterator[None]:
    """Sends log messages, which are for people, where they do not mix with results: MMEngine logs to stdout.

    Args:
        program (str): The name that precedes each message.
    """
    from mmengine.logging import MMLogger  # the light installation has none
    handlers = [handler for handler in MMLogger.get_current_instance().handlers if type(handler) is logging.StreamHandler]
    before = [(handler.stream, handler.formatter) for handler in handlers]
    for handler in handlers:
        handler.setStream(sys.stderr)
        handler.setFormatter(logging.Formatter(f'{program}: %(message)s'))
    try:
        yield
    finally:
        for handler, (stream, formatter) in zip(handlers, before):
            handler.setStream(stream)
            handler.setFormatter(formatter)
