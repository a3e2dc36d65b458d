"""``mmskf info``: what a model is and needs."""
import argparse
import json
from typing import Any, cast

DESCRIPTION = 'Describes a model, what it needs, and the classes of its knowledge bank.'


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('info', help='what a model is and needs', description=DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument('model', metavar='MODEL', help='a name of "mmskf list", or a config')
    parser.add_argument('--json', action='store_true', help='print it as JSON, for scripts')


def facts(name: str) -> dict[str, Any]:
    """Facts about a model, by headings."""
    from mmskf.apis import find_config, init_model
    from mmskf.apis.config import model_index
    from mmskf.apis.inferencer import DEFAULT_BANK, build_bank
    from mmskf.models import EnhancementNet
    from mmskf.models.skb.class_names import class_names

    from .list_models import weights_of

    config = find_config(name)
    indexed = next((model for model in model_index() if model['Name'] == config.stem), None)
    model = init_model(name)
    generator = cast(EnhancementNet, model.generator)
    data = indexed['Metadata'] if indexed else {}
    found: dict[str, Any] = {'model': name, 'config': str(config)}
    if indexed:
        found.update({'method': data['Model'], 'trained on': data['Training Data'], 'weights': weights_of(indexed)})
    se = sum(weight.numel() for module in generator.se_modules for weight in module.parameters())
    found['parameters'] = sum(weight.numel() for weight in generator.parameters())
    if se:
        found['of these in SE modules'] = se
    found['in tiles from'] = f'{generator.max_pixels:,} pixels' if generator.max_pixels else 'never'
    bank = getattr(model, 'skb', None)
    found['knowledge bank'] = bank.name if bank is not None else f'none; {DEFAULT_BANK} segments photos'
    found['classes'] = class_names(build_bank(DEFAULT_BANK) if bank is None else bank)
    for result in (indexed or {}).get('Results', []):
        scores = ', '.join(f'{metric} {score}' for metric, score in result['Metrics'].items())
        found[f'measured on {result["Dataset"]}'] = scores
    return found


def run(args: argparse.Namespace) -> int:
    """Prints it; returns the exit code."""
    found = facts(args.model)
    if args.json:
        print(json.dumps(found))
        return 0
    width = max(map(len, found))
    for name, value in found.items():
        text = f'{value:,}' if isinstance(value, int) else ', '.join(value) if isinstance(value, list) else str(value)
        print(f'{name:{width}}  {text}')
    return 0
