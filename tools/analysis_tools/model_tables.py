"""Writes the tables of the model pages from the model index, so that no number is copied by hand: ``model_tables.py``.

A page (configs/README.md and those of the methods) has each table between ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""
import argparse
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

from mmskf.apis import config_root
from mmskf.apis.config import model_index
from mmskf.evaluation import NOT_MEASURED
from mmskf.utils.errors import run_tool
from mmskf.utils.files import atomic_open
from mmskf.utils.tables import markdown_table

SCORES = ('PSNR', 'SSIM', 'LPIPS', 'NIQE')
PLACE = re.compile(r'(<!-- table: (\w+) -->\n).*?(<!-- end -->)', re.DOTALL)


def link(model, page):
    """The name of a model, linked to its config from a page."""
    return f'[{model["Name"]}]({os.path.relpath(config_root().parent / model["Config"], page.parent)})'


def models(entries, page):
    """The cost of a method's networks, without and with the knowledge bank."""
    rows = []
    for model in entries:
        facts = model['Metadata']
        bank = [f'{facts["Parameters with SKB"]:,}', f'{facts["GMACs with SKB"]:.2f}'] if 'GMACs with SKB' in facts else ['', '']
        rows.append([facts['Model'], link(model, page), facts['Training Data'], f'{facts["Parameters"]:,}', bank[0],
                     f'{facts["GMACs"]:.2f}', bank[1]])
    return markdown_table(['model', 'config', 'data', 'parameters', 'with the SKB', 'GMACs', 'with the SKB'], rows)


def scores(entries, page):
    """The paper's scores of a method, and those measured here."""
    rows = []
    for model in entries:
        ours = [result for result in model['Results'] if result['Dataset'] == model['Metadata']['Training Data']]
        for paper in model.get('Paper Results', []):
            row = [link(model, page), paper['Dataset']]
            for score in SCORES:
                row.append(f'{paper["Metrics"][score]:.3f}' if score in paper['Metrics'] else '')
                measured = ours[0]['Metrics'].get(score) if ours else None
                row.append(NOT_MEASURED if measured is None else f'{measured:.3f}')
            rows.append(row)
    return markdown_table(['config', 'test set', *(f'{score}{who}' for score in SCORES for who in (', paper', ', ours'))], rows)


def measured(entries, page):
    """Measured scores of models without published ones: one row per test set and model."""
    results = [(result['Dataset'], link(model, page), result['Metrics']) for model in entries for result in model['Results']]
    datasets = list(dict.fromkeys(dataset for dataset, *_ in results))
    scores = [score for score in SCORES if any(score in metrics for *_, metrics in results)]
    rows = [[dataset, name, *(f'{metrics[score]:.3f}' if score in metrics else '' for score in scores)]
            for dataset, name, metrics in sorted(results, key=lambda result: datasets.index(result[0]))]
    return markdown_table(['test set', 'model', *scores], rows)


def results(entries, page):
    """Measured scores of all models that can be used here: one row per model, a column per test set and score."""
    scores = {model['Name']: {(result['Dataset'], score): value
                              for result in model['Results'] for score, value in result['Metrics'].items()} for model in entries}
    columns = list(dict.fromkeys(column for known in scores.values() for column in known))
    rows = [[link(model, page), *(f'{scores[model["Name"]][column]:.3f}' if column in scores[model['Name']] else ''
                                  for column in columns)] for model in entries if scores[model['Name']]]
    return markdown_table(['model', *(f'{score}, {dataset}' for dataset, score in columns)], rows)


def counts(entries, page):
    """Parameters of all models next to the paper's, one row per model."""
    rows = {}
    for model in entries:
        if 'Paper Parameters (M)' not in model:
            continue
        facts = model['Metadata']
        name = f'[{facts["Model"]}]({Path(model["Metafile"]).parent.name}/README.md)'
        rows.setdefault(name, [name, f'{facts["Parameters"]:,}', f'{facts["Parameters"] / 1e6:.2f}',
                               f'{model["Paper Parameters (M)"]:.2f}', model.get('Parameters Differ', '')])
    return markdown_table(['model', 'parameters', 'in M', 'paper (M)', 'why they differ'], rows.values())


TABLES = dict(models=models, scores=scores, measured=measured, results=results, counts=counts)


def fill(page):
    """The text of a page with its tables regenerated."""
    entries = [model for model in model_index()
               if page.parent == config_root() or Path(model['Metafile']).parent.name == page.parent.name]
    return PLACE.sub(lambda match: match[1] + TABLES[match[2]](entries, page) + match[3], page.read_text())


def main(args=None):
    parser = argparse.ArgumentParser(description='Write the tables of the model pages from the model index')
    parser.add_argument('--check', action='store_true', help='write nothing, and list the pages that are not up to date')
    args = parser.parse_args(args)
    pages = [config_root() / 'README.md', *sorted(config_root().glob('*/README.md'))]
    old = [page for page in pages if fill(page) != page.read_text()]
    for page in old:
        print(f'{page} {"is not up to date" if args.check else "written"}')
        if not args.check:
            with atomic_open(page, 'w') as file:
                file.write(fill(page))
    return len(old) if args.check else 0


if __name__ == '__main__':
    run_tool(main)
