"""Serves the page. All that it writes is below one folder, which is removed when the server stops."""
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmskf.utils.errors import INTERRUPTED

from .studio import Studio
from .visits import Visits

#: Read by gradio and huggingface_hub when they are imported.
NO_TELEMETRY = dict(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1')
#: The browser loads nothing from anywhere else, whatever gradio's code asks for.
ONLY_FROM_HERE = b"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:"
MEGABYTE = 2**20  # as gradio shows sizes
SHUTDOWN_SECONDS = 2  # for open connections


def import_gradio() -> None:
    """Imports gradio without its telemetry.

    Raises:
        ImportError: If it is not installed.
    """
    os.environ.update(NO_TELEMETRY)
    warnings.filterwarnings('ignore', message="'HTTP_422")  # gradio uses a name that Starlette has renamed
    try:
        import gradio  # noqa: F401
    except ImportError as error:
        raise ImportError(f'The web page needs the package gradio ({error}): pip install "mmskf[demo]"') from error


def open_port(host: str, port: int) -> socket.socket:
    """Listens at an address.

    Raises:
        OSError, ValueError: If that is not possible: names it, and says why.
    """
    if not 0 <= port <= 65535:
        raise ValueError(f'There is no port {port}: choose one from 1024 to 65535, or 0 for any free one (--port)')
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(f'Port {port} of {host} is in use, perhaps by another mmskf web: choose another (--port)') from error
        if error.errno == errno.EACCES:
            raise OSError(f'Port {port} of {host} is reserved for the system: choose one from 1024 on (--port)') from error
        raise OSError(f'{host} is no address of this computer ({error.strerror}): choose 127.0.0.1 for this computer only, or '
                      '0.0.0.0 for its network (--host)') from error


@contextmanager
def one_folder() -> Iterator[Path]:
    """A folder for all temporary files of this process, which is removed in the end."""
    before = tempfile.tempdir, os.environ.get('GRADIO_TEMP_DIR')
    with tempfile.TemporaryDirectory(prefix='mmskf-web-', ignore_cleanup_errors=True) as folder:
        tempfile.tempdir = os.environ['GRADIO_TEMP_DIR'] = folder
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = before[0]
            del os.environ['GRADIO_TEMP_DIR']
            if before[1] is not None:
                os.environ['GRADIO_TEMP_DIR'] = before[1]


class ContentSecurityPolicy:
    """ASGI middleware that adds :data:`ONLY_FROM_HERE` to every response."""

    def __init__(self, app: Any):
        self.app = app

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        async def send_with_policy(message: dict) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [*message['headers'], (b'content-security-policy', ONLY_FROM_HERE)]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def make_app(studio: Studio, visits: Visits, file_limit: int) -> Any:
    """The page as an ASGI application; gradio's temporary folder must be that of the visits.

    Args:
        studio (Studio): What enhances.
        visits (Visits): What keeps the files of visitors.
        file_limit (int): Maximum size of a file in megabytes.
    """
    import_gradio()
    import gradio as gr
    from fastapi import FastAPI

    from .page import CSS, THEME, Page

    blocks = Page(studio, visits, file_limit).blocks
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gr.mount_gradio_app(app, blocks, '/', footer_links=[], max_file_size=file_limit * MEGABYTE, ssr_mode=False, mcp_server=False,
                        enable_monitoring=False, theme=THEME, css_paths=CSS)
    # Only then does gradio refuse requests that name files of this computer that were not uploaded.
    blocks.has_launched = True
    app.add_middleware(ContentSecurityPolicy)
    return app


def make_server(app: Any, end: Callable[[], None] | None = None) -> Any:
    """A uvicorn server of an application of :func:`make_app`; ``end`` is called when it has closed its connections."""
    import uvicorn

    class Server(uvicorn.Server):

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            # Else it would wait for the connections by which open pages tell that they are there.
            app.routes[-1].app.stop_event.set()
            await super().shutdown(sockets)
            if end is not None:
                end()

    return Server(uvicorn.Config(app, log_level='critical', access_log=False, timeout_graceful_shutdown=SHUTDOWN_SECONDS))


def serve(studio: Studio, port: socket.socket, file_limit: int) -> None:
    """Serves the page until Ctrl-C, SIGTERM, or the terminal is closed; then the process ends.

    Args:
        studio (Studio): What enhances.
        port (socket.socket): From :func:`open_port`.
        file_limit (int): Maximum size of a file in megabytes.
    """
    with one_folder() as folder:

        def end() -> None:
            shutil.rmtree(folder, ignore_errors=True)
            print('mmskf: stopped', file=sys.stderr, flush=True)
            os._exit(INTERRUPTED)  # Python would wait for a photo that is being enhanced, perhaps for minutes

        server = make_server(make_app(studio, Visits(folder), file_limit), end)
        signal.signal(signal.SIGHUP, server.handle_exit)
        server.run([port])
