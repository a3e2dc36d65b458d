"""``mmskf info``: what a model is and needs."""
import argparse
import json
from pathlib import Path
from typing import Any, cast

from mmskf.export import is_exported

DESCRIPTION = 'Describes a model, what it needs, and the classes of its knowledge bank.'


def add_parser(commands: Any) -> None:
    """Adds the subcommand."""
    parser = commands.add_parser('info', help='what a model is and needs', description=DESCRIPTION)
    parser.set_defaults(run=run)
    parser.add_argument('model', metavar='MODEL', help='a name of "mmskf list", a config, or a FILE.onnx of "mmskf export"')
    parser.add_argument('--json', action='store_true', help='print it as JSON, for scripts')


def facts_of_exported(path: str) -> dict[str, Any]:
    """Facts about an exported model, by headings."""
    from mmskf.export.runtime import ExportedModel

    model = ExportedModel(path)
    limit, of_whole = model.max_pixels, model.metadata.get('of_whole')
    return {
        'file': path, 'model': model.metadata['model'], 'exported by': f'mmskf {model.metadata["version"]}', 'dtype': model.dtype,
        'bytes': Path(path).stat().st_size, 'inputs': ['image', *model.metadata['prior']],
        'largest photo': f'{limit:,} pixels' + ('' if of_whole is None else '; larger ones in tiles') if limit else 'any'}


def facts(name: str) -> dict[str, Any]:
    """Facts about a model, by headings."""
    from mmskf.apis import find_config, init_model
    from mmskf.apis.config import indexed, weights_of
    from mmskf.apis.inferencer import DEFAULT_BANK, build_bank
    from mmskf.models import EnhancementNet
    from mmskf.models.skb.class_names import class_names

    config = find_config(name)
    entry = indexed(config)
    model = init_model(name)
    generator = cast(EnhancementNet, model.generator)
    found: dict[str, Any] = {'model': name, 'config': str(config)}
    if entry:
        data = entry['Metadata']
        found.update({'method': data['Model'], 'trained on': data['Training Data'], 'weights': weights_of(entry)})
        if 'License' in data:
            found['license'] = data['License']
    se = sum(weight.numel() for module in generator.se_modules for weight in module.parameters())
    found['parameters'] = sum(weight.numel() for weight in generator.parameters())
    if se:
        found['of these in SE modules'] = se
    found['in tiles from'] = f'{generator.max_pixels:,} pixels' if generator.max_pixels else 'never'
    bank = getattr(model, 'skb', None)
    found['knowledge bank'] = (f'none; {DEFAULT_BANK} segments photos' if bank is None else
                               f'{bank.label}, {bank.checkpoint or "random weights"}')
    found['classes'] = class_names(build_bank(DEFAULT_BANK) if bank is None else bank)
    for result in entry['Results'] if entry else ():
        scores = ', '.join(f'{metric} {score}' for metric, score in result['Metrics'].items())
        found[f'measured on {result["Dataset"]}'] = scores
    return found


def run(args: argparse.Namespace) -> int:
    """Prints it; returns the exit code."""
    found = facts_of_exported(args.model) if is_exported(args.model) else facts(args.model)
    if args.json:
        print(json.dumps(found))
        return 0
    width = max(map(len, found))
    for name, value in found.items():
        text = f'{value:,}' if isinstance(value, int) else ', '.join(value) if isinstance(value, list) else str(value)
        print(f'{name:{width}}  {text}')
    return 0
