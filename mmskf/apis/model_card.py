"""Model cards, from what the model index knows of a model: for readers, and for model hubs."""
import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from huggingface_hub import EvalResult, ModelCardData

from mmskf.utils.tables import markdown_table
from mmskf.weights import read_state_dict

from .config import find_config, indexed, model_index

SCORES = ('PSNR', 'SSIM', 'LPIPS', 'NIQE')
TASK, TASK_NAME = 'image-to-image', 'Low-Light Image Enhancement'
TAGS = ('low-light-image-enhancement', 'image-enhancement', 'image-restoration', 'mmskf', 'openmmlab')


def index_entry(name: str) -> dict:
    """What the model index knows of a model; of one that it does not have, only its name and config.

    Args:
        name (str): Name or config of the model, see :func:`find_config`.

    Raises:
        FileNotFoundError: If there is no such config.
    """
    config = find_config(name)
    return indexed(config) or dict(Name=config.stem, Config=str(config), Metadata=dict(Model=config.stem), Results=[])


def front_matter(model: dict) -> str:
    """The YAML at the top of a card, which model hubs read: license, tags, scores.

    Args:
        model (dict): An entry of the model index.
    """
    data = model['Metadata']
    license_name = data.get('License Name')
    results = [EvalResult(TASK, _slug(result['Dataset']), result['Dataset'], metric.lower(), score, task_name=TASK_NAME)
               for result in model['Results'] for metric, score in result['Metrics'].items()]
    tags = [*TAGS, _slug(data['Model'])]
    card = ModelCardData(
        model_name=model['Name'], library_name='mmskf', pipeline_tag=TASK, tags=tags,
        license='other' if license_name else None, license_name=license_name,
        metrics=list(dict.fromkeys(result.metric_type for result in results)) or None, eval_results=results or None)
    return f'---\n{card.to_yaml(line_break=None)}\n---\n'


def _slug(name: str) -> str:
    """A name as hubs write it: 'LOL at 256x256' -> 'lol-at-256x256'."""
    return re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')


def facts(model: dict, weights: Path, name: str) -> str:
    """The table of a card: what the network, the file, the data and the license are.

    Args:
        model (dict): An entry of the model index.
        weights (Path): The file of weights.
        name (str): The name of the model as it is written in the table: a link to its config, for instance.
    """
    data = model['Metadata']

    def cost(key: str) -> str:
        with_bank = data.get(f'{key} with SKB')
        return f'{data[key]:,}' + (f'; {with_bank:,} with the knowledge bank' if with_bank else '')

    rows = [('network', f'{data["Model"]}: {name}')]
    if 'Parameters' in data:
        rows += [('parameters', cost('Parameters')), ('GMACs, 600x400', cost('GMACs'))]
    kinds = {str(value.dtype).removeprefix('torch.') for value in read_state_dict(weights).values() if value.is_floating_point()}
    content = weights.read_bytes()
    rows += [('file', f'{weights.name}: {" and ".join(sorted(kinds))}, {len(content) / 1e6:.1f} MB; SHA-256 '
                      f'{hashlib.sha256(content).hexdigest()}'),
             ('data', data.get('Training Data Details') or data.get('Training Data', 'not stated')),
             ('license', data.get('License', 'not stated'))]
    return markdown_table(['', ''], rows)


def score_table(models: Sequence[dict], name_of: Callable[[dict], str]) -> str:
    """Measured scores: one row per test set and model, in their order.

    Args:
        models (Sequence[dict]): Entries of the model index.
        name_of (callable): An entry -> the name of the model in the table.
    """
    results = [(result['Dataset'], name_of(model), result['Metrics']) for model in models for result in model['Results']]
    datasets = list(dict.fromkeys(dataset for dataset, *_ in results))
    scores = [score for score in SCORES if any(score in metrics for *_, metrics in results)]
    rows = [[dataset, name, *(f'{metrics[score]:.3f}' if score in metrics else '' for score in scores)]
            for dataset, name, metrics in sorted(results, key=lambda result: datasets.index(result[0]))]
    return markdown_table(['test set', 'model', *scores], rows)


def compared(model: dict) -> list[dict]:
    """A model, and what the index knows of others on its test sets."""
    datasets = {result['Dataset'] for result in model['Results']}
    others = [dict(other, Results=[result for result in other['Results'] if result['Dataset'] in datasets])
              for other in model_index() if other['Name'] != model['Name']]
    return [model, *others]


def model_card(model: dict, weights: Path) -> str:
    """The card of a model that is published.

    Args:
        model (dict): An entry of the model index.
        weights (Path): The file of weights, beside which the card will be.
    """
    name = model['Name']
    scores = f'''
## Scores

{score_table(compared(model), lambda entry: entry['Name'])}'''
    return f'''{front_matter(model)}
# {name}

A model of mmskf, which makes dark photos bright.

{facts(model, weights, name)}
## Use

```bash
mmskf enhance dark.jpg -o bright --model {name} --weights {weights.name}
```

```python
from mmskf.apis import SKFInferencer

enhance = SKFInferencer('{name}', '{weights.name}')
enhance('dark.jpg', out_dir='bright')
```
{scores if model['Results'] else ''}'''
