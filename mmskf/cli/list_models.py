"""``mmskf list``: the available models."""
import argparse
import fnmatch
import json
import sys
from typing import Any

DESCRIPTION = '''Lists the models. Those that need no weights work immediately; the others need a checkpoint, given to
"mmskf enhance" as --weights.'''


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('list', help='the available models', description=DESCRIPTION,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(run=run)
    parser.add_argument('pattern', nargs='?', default='*', help='only models with matching names, such as "drbn*"')
    parser.add_argument('--json', action='store_true', help='print them as JSON, for scripts')


def run(args: argparse.Namespace) -> int:
    """Prints the models; returns the exit code."""
    from prettytable import PrettyTable

    from mmskf.apis.config import model_index, weights_of

    models: list[dict] = sorted((model for model in model_index() if fnmatch.fnmatch(model['Name'], args.pattern)),
                                key=lambda model: model['Name'])
    if not models:
        print(f'mmskf: no model is named {args.pattern!r}', file=sys.stderr)
        return 2
    if args.json:
        print(json.dumps([dict(name=model['Name'], method=model['Metadata']['Model'],
                               trained_on=model['Metadata']['Training Data'],
                               parameters=model['Metadata']['Parameters'], weights=weights_of(model)) for model in models]))
        return 0
    table = PrettyTable(['model', 'method', 'trained on', 'parameters', 'weights'], align='l')
    table.align['parameters'] = 'r'
    for model in models:
        data = model['Metadata']
        table.add_row([model['Name'], data['Model'], data['Training Data'], f'{data["Parameters"]:,}', weights_of(model)])
    print(table)
    return 0
