"""``mmskf web``: a page in the browser that enhances photos."""
import argparse
from typing import Any

from .enhance import add_machine_options, add_model_options

DESCRIPTION = '''Serves a page that enhances photos: drop them there, choose a model and a strength, compare before and after,
and download the results in the format of each photo. The page needs no internet, sends nothing anywhere, and keeps no photo
when you leave it. It is for this computer only, unless you choose another --host. Ctrl-C stops it.'''
EXAMPLES = '''examples:
  mmskf web
  mmskf web --port 8000 --model drbn_skf_lol --weights drbn_skf.pth

It needs the packages of mmskf[demo].'''


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('web', help='a page in the browser that makes photos bright', description=DESCRIPTION,
                                 epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    address = parser.add_argument_group('address')
    address.add_argument('--host', default='127.0.0.1', help='0.0.0.0 serves all who can reach this computer by its network; '
                                                             'there is no password (default: 127.0.0.1, this computer only)')
    address.add_argument('--port', type=int, default=7860, help='0 for any free one (default: 7860)')

    add_model_options(parser.add_argument_group('a further model, beside those that need no weights from you'))

    limits = parser.add_argument_group('limits, which the page states')
    limits.add_argument('--file-limit', type=int, default=100, metavar='MB',
                        help='do not take files of more megabytes (default: 100)')
    limits.add_argument('--pixel-limit', type=int, metavar='N',
                        help='do not read files with more pixels (default: 50,000,000; 0: no limit)')

    add_machine_options(parser.add_argument_group('speed and memory'))


def run(args: argparse.Namespace) -> int:
    """Serves the page until it is stopped."""
    from mmskf.web.server import import_gradio, open_port, serve

    if args.file_limit < 1:
        raise ValueError(f'--file-limit {args.file_limit}: expected a number of megabytes')
    import_gradio()
    port = open_port(args.host, args.port)
    from mmskf.web import Studio
    from mmskf.web.studio import PIXEL_LIMIT
    limit = PIXEL_LIMIT if args.pixel_limit is None else args.pixel_limit or None
    studio = Studio(args.model, args.weights, limit, device=args.device, amp=args.amp, max_pixels=args.max_pixels,
                    bank=args.bank)
    host, number = port.getsockname()[:2]
    print(f'mmskf: http://{f"[{host}]" if ":" in host else host}:{number} (Ctrl-C stops it)', flush=True)
    serve(studio, port, args.file_limit)
    return 0
