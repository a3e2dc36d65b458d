"""Runs a table of ablations and prints it next to the paper's: ``run_ablation.py 3 --methods drbn --iters 20000 --seeds 0 1 2``.

Each row is trained and tested with the same data, budget and seeds. Finished runs are not repeated, an interrupted run is
resumed, more seeds can be added later; a failed run does not stop the others. The paper's scores are for LOL and for full
training: they are shown for orientation, not for comparison with a smaller budget or other data.
"""
import argparse
import csv
import json
import sys
import traceback
from copy import deepcopy
from pathlib import Path
from statistics import mean, pstdev, stdev

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import matplotlib
import matplotlib.pyplot as plt
import mmengine
from mmengine import fileio

from mmskf.apis import config_root, load_config, use_amp
from mmskf.apis.config import bank_config, check_options, datasets, paired_layouts
from mmskf.engine import Runner
from mmskf.evaluation import CORRECTIONS, NOT_MEASURED
from mmskf.registry import MODELS
from mmskf.utils.errors import is_for_user, message_of, run_tool, show_error
from mmskf.utils.files import atomic_open, check_destination
from mmskf.utils.options import add_cfg_options, item_index, merge_options
from mmskf.utils.tables import markdown_table, write_csv

matplotlib.use('Agg')

PARTS = ('SCH', 'SA', 'SE')
SCORES = ('PSNR', 'SSIM', 'LPIPS', 'NIQE')
# Those that are also reported after matching the brightness to the ground truth.
GT_MEAN_SCORES = ('PSNR', 'SSIM')
# Fields of a learning-rate schedule that are iterations.
ITERATIONS = ('begin', 'end', 'milestones', 'T_max', 'step_size', 'total_iters', 'periods')
# Options shared by the rows of a table.
BUDGET = ('data_root', 'layout', 'iters', 'batch_size', 'crop', 'skb', 'gt_mean', 'amp', 'cfg_options')


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Run a table of ablations')
    parser.add_argument('table', choices=tables(), help='number of the table in the paper, or "priors": what SKF owes to the '
                        'semantics')
    parser.add_argument('--methods', nargs='+', help='methods of the table (default: all), such as drbn')
    parser.add_argument('--rows', nargs='+', help='rows of the table (default: all), such as drbn_se')
    parser.add_argument('--data-root', help="where the images are (default: the layout's)")
    parser.add_argument('--layout', choices=paired_layouts(), default='lol',
                        help='folder names: as in LOL, as in the real part of LOL-v2, or {train,test}/{low,high}')
    parser.add_argument('--iters', type=int, help="training iterations of every row; schedules are scaled accordingly (default: "
                        "the method's own)")
    parser.add_argument('--batch-size', type=int, help="batch size of all stages (default: the method's own)")
    parser.add_argument('--crop', type=int, help="side of the training crops, of all stages (default: the method's own)")
    parser.add_argument('--skb', metavar='CONFIG', help='another knowledge bank, such as skb/hrnet_w18s_camvid')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0], help='each row is trained once for each (default: 0)')
    parser.add_argument('--gt-mean', choices=('none', *CORRECTIONS), default='none',
                        help='PSNR and SSIM also after matching the brightness to the ground truth (default: none)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--work-dir', help='where rows and tables go (default: work_dirs/ablation_table_N)')
    add_cfg_options(parser)
    return parser.parse_args(args)


def tables():
    """Name of a table -> its title and rows, as in configs/ablation/tables.yml."""
    return {str(name): table for name, table in mmengine.load(config_root() / 'ablation' / 'tables.yml').items()}


def name_of(row):
    """The name of a row: that of its config, unless it changes fields of it."""
    return row.get('name', Path(row['config']).stem)


def choose_rows(table, methods=None, names=None):
    """The rows of a table with these methods and names.

    Raises:
        ValueError: If a method or a name is not in the table.
    """
    rows = [row for method in methods or table['rows'] for row in table['rows'].get(method, [])]
    for option, chosen, known in (('methods', methods, list(table['rows'])), ('rows', names, list(map(name_of, rows)))):
        for name in chosen or ():
            if name not in known:
                raise ValueError(f'--{option} {name}: this table has {", ".join(known)}')
    return [row for row in rows if names is None or name_of(row) in names]


def has_field(cfg, option):
    """Whether a config has the parent node of a dotted option."""
    if option.startswith('optim_wrapper.discriminator.'):  # may be omitted if it has the generator's settings
        return bool(cfg.model.get('discriminator'))
    node = cfg
    for name in option.split('.')[:-1]:
        try:
            node = node[item_index(node, name)] if isinstance(node, (list, tuple)) else node.get(name)
        except KeyError:
            return False
        if not isinstance(node, (dict, list, tuple)):
            return False
    return True


def row_config(row, args):
    """The Runner's config of a row: its own, with the data and the budget that all rows share.

    Args:
        row (dict): A row of the table.
        args (Namespace): Arguments from :func:`parse_args`.

    Returns:
        Config: Without validation; an option of ``--cfg-options`` acts where the config has what it belongs to.
    """
    cfg = load_config(row['config'])
    for split, folders in paired_layouts()[args.layout].items():
        dataset = cfg[f'{split}_dataloader'].dataset
        for name in ('exclude', 'filename_tmpl'):  # some layouts have none
            dataset.pop(name, None)
        dataset.update(folders)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.gt_mean != 'none':
        metrics = {metric.type: metric for metric in cfg.test_evaluator.metrics}
        of_brightness = [metrics.pop(name) for name in GT_MEAN_SCORES]
        cfg.test_evaluator.metrics = [dict(type='GTMean', mode=args.gt_mean, metrics=of_brightness), *metrics.values()]
    if args.data_root:
        for dataset in datasets(cfg):
            dataset.data_root = args.data_root
    if args.skb and cfg.model.get('skb'):
        cfg.model.skb = bank_config(args.skb)
    if args.iters:
        shrink(cfg, args.iters)
    for loader in (cfg.train_dataloader, *(stage.get('dataloader', {}) for stage in cfg.train_cfg.get('stages', []))):
        if args.batch_size and 'batch_size' in loader:
            loader.batch_size = args.batch_size
        pipeline = loader.get('dataset', {}).get('pipeline', [])
        for step in pipeline.values() if isinstance(pipeline, dict) else pipeline:  # a stage names the steps that differ
            if args.crop and 'crop_size' in step:
                step.crop_size = args.crop
    if args.amp:
        use_amp(cfg)
    cfg.merge_from_dict(row.get('options', {}))
    options = {option: value for option, value in args.cfg_options.items() if has_field(cfg, option)}
    check_options(cfg, options)
    merge_options(cfg, options)
    return cfg


def shrink(cfg, iters):
    """Rescales a training to ``iters`` iterations; its stages, if any, and its schedules in proportion."""
    stages = cfg.train_cfg.get('stages')
    factor = iters / (sum(stage.iters for stage in stages) if stages else cfg.train_cfg.max_iters)
    if stages:
        *before, last = [stage for stage in stages if stage.iters]
        for stage in before:
            stage.iters = max(1, round(factor * stage.iters))
        last.iters = max(1, iters - sum(stage.iters for stage in before))
    else:
        cfg.train_cfg.max_iters = iters
    for scheduler in cfg.param_scheduler:
        # An epoch may become shorter than an iteration, so epoch-based schedules become iteration-based.
        scale = factor * cfg.default_hooks.param_scheduler.epoch_length if scheduler.get('by_epoch', True) else factor
        scheduler.by_epoch = False
        for field in ITERATIONS:
            value = scheduler.get(field)
            if isinstance(value, (list, tuple)):
                scheduler[field] = [max(1, round(scale * item)) for item in value]
            elif value:
                scheduler[field] = max(1, round(scale * value))


def parts_of(model):
    """The parts of SKF in a model config: part -> '', a check mark, or 'w/o S' for its variant without semantics."""
    sch, sa = model.get('sch_loss'), model.get('sa_loss')
    return dict(
        SCH='' if not sch else '✓' if sch.get('semantic', True) else 'w/o S',
        SA='' if not sa else 'w/o S' if sa.get('variant') == 'classic' else '✓',
        SE='✓' if model.generator.get('se') else '')


def run_row(cfg, seed, folder):
    """Trains and tests one row with one seed, or resumes it.

    Returns:
        dict[str, list[str]]: Name of a score -> its values for the test images, and their mean.
    """
    scores = folder / 'scores.csv'
    if not scores.is_file():
        cfg.work_dir, cfg.resume = str(folder), True
        cfg.merge_from_dict({'randomness.seed': seed})
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='PerImageScoresHook', out_file=f'{scores}.part')]
        runner = Runner.from_cfg(cfg)
        runner.train()
        runner.test()
        Path(f'{scores}.part').rename(scores)
    with open(scores) as file:
        lines = list(csv.DictReader(file))
    return {name: [line[name] for line in lines] for name in lines[0]}


def check_budget(args, folder):
    """Rows of one table must be comparable: the folder stores the options of its first rows.

    Raises:
        ValueError: If these differ.
    """
    budget = json.loads(json.dumps({name: getattr(args, name) for name in BUDGET}))
    path = folder / 'budget.json'
    if not path.is_file():
        fileio.put_text(json.dumps(budget, indent=1), path)
        return
    before = json.loads(path.read_text())
    changed = [f'{name} was {before.get(name)!r} and is {value!r}' for name, value in budget.items() if before.get(name) != value]
    if changed:
        raise ValueError(f'The rows in {folder} were run with other options ({"; ".join(changed)}), and one table needs one '
                         'budget: give another --work-dir')


def write_tables(rows, results, shown, folder, title):
    """Writes table.md, table.csv and table.png and returns the text of the first.

    Args:
        rows (list[dict]): Rows of the table.
        results (list[dict]): For each row its parts, parameters, errors, and what :func:`run_row` returned for each seed.
        shown (list[str]): The scores.
        folder (Path): The output folder.
        title (str): Line above the table.
    """
    paper = [score for score in shown if any(score in row for row in rows)]
    sizes = any('M' in row for row in rows)
    header = ['row', *PARTS, 'parameters', 'seeds', *shown, *['paper: param (M)'] * sizes,
              *(f'paper: {score}' for score in paper)]
    lines, records = [], []
    for row, result in zip(rows, results):
        scores = {score: measured_score(list(result['runs'].values()), score) for score in shown}
        cells = [describe_score(**scores[score]) for score in shown]
        if result['errors']:
            cells[0] = f'failed: {result["errors"][-1]}'
        known = [name_of(row), *(result[part] for part in PARTS), str(result.get('parameters', '')),
                 ' '.join(map(str, result['runs']))]
        published = [*[f'{row["M"]:.2f}' if 'M' in row else ''] * sizes,
                     *(f'{row[score]:.3f}' if score in row else '' for score in paper)]
        lines.append([*known, *cells, *published])
        values = [scores[score].get(key, '') for score in shown for key in ('mean', 'seeds_std', 'images_std')]
        records.append([*known, *values, result['errors'][-1] if result['errors'] else '', *published])
    columns = [f'{score}{suffix}' for score in shown for suffix in ('', ' (std over seeds)', ' (std over images)')]
    first = len(PARTS) + 3
    write_csv(folder / 'table.csv', [*header[:first], *columns, 'error', *header[first + len(shown):]], records)
    plot_table(rows, results, shown, folder / 'table.png')
    notes = [f'- {name_of(row)}: {row["note"]}\n' for row in rows if 'note' in row]
    text = ''.join([f'{title}\n\n', markdown_table(header, lines), *['\n'] * bool(notes), *notes])
    fileio.put_text(text, folder / 'table.md')
    return text


def column_of(run, score):
    """The column of a run that holds a score; some methods add a note, as in 'PSNR (exposure from the ground truth)'."""
    name, _, correction = score.partition(' (')
    return next((column for column in run if (column == name or column.startswith(f'{name} ('))
                 and column.endswith('GT-mean)') == bool(correction)), None)


def measured_score(runs, score):
    """Statistics of a score.

    Args:
        runs (list[dict]): What :func:`run_row` returned for each seed.
        score (str): Name of the score.

    Returns:
        dict: 'mean' over images and seeds, 'images_std' (mean over the seeds), with several seeds 'seeds_std' (of the means),
        and 'note'; empty if it was not measured.
    """
    columns = [column_of(run, score) for run in runs]
    if not columns or any(column is None or NOT_MEASURED in run[column] for run, column in zip(runs, columns)):
        return {}
    values = [[float(value) for value in run[column]] for run, column in zip(runs, columns)]
    means = [value for *_, value in values]
    note = columns[0].removeprefix(score)
    return dict(mean=mean(means), images_std=mean(pstdev(images) for *images, _ in values), note=note,
                **(dict(seeds_std=stdev(means)) if len(means) > 1 else {}))


def describe_score(mean=None, images_std=None, seeds_std=None, note=''):
    """'20.870 (exposure from the ground truth)', or with several seeds '20.870 ± 0.120'."""
    if mean is None:
        return NOT_MEASURED
    return f'{mean:.3f}' + (f' ± {seeds_std:.3f}' if seeds_std is not None else '') + note


def plot_table(rows, results, shown, path):
    """Draws every run as a point and the mean of each row as a line, one plot for each score that was measured."""
    points = {score: [[measured_score([run], score).get('mean') for run in result['runs'].values()] for result in results]
              for score in shown}
    measured = [score for score in shown if any(value is not None for row in points[score] for value in row)]
    if not measured:
        return
    figure, axes = plt.subplots(1, len(measured), squeeze=False, sharey=True,
                                figsize=(2 + 3 * len(measured), 1 + 0.35 * len(rows)))
    for score, axis in zip(measured, axes[0]):
        for height, values in enumerate(points[score]):
            known = [value for value in values if value is not None]
            axis.plot(known, [height] * len(known), 'o', color='C0', alpha=0.7)
            if known:
                axis.plot(mean(known), height, '|', color='black', markersize=16)
        axis.set(title=score)
        axis.grid(axis='x', alpha=0.3)
    axes[0, 0].set(yticks=range(len(results)), yticklabels=[name_of(row) for row in rows[:len(results)]])
    axes[0, 0].invert_yaxis()
    figure.tight_layout()
    with atomic_open(path, 'wb') as file:
        figure.savefig(file, format='png', dpi=120)
    plt.close(figure)


def describe(args):
    """The budget in words."""
    given = [f'{args.iters} iterations' if args.iters else 'as many iterations as each method has',
             f'seed{"s" * (len(args.seeds) > 1)} {", ".join(map(str, args.seeds))}',
             f'data from {args.data_root or args.layout}']
    chosen = dict(batch=args.batch_size, crop=args.crop, bank=args.skb)
    given += [f'{name} {value}' for name, value in chosen.items() if value]
    return ', '.join([*given, *(f'{field}={value}' for field, value in args.cfg_options.items())])


def main(args=None):
    args = parse_args(args)
    table = tables()[args.table]
    rows = choose_rows(table, args.methods, args.rows)
    folder = Path(args.work_dir or f'work_dirs/ablation_table_{args.table}')
    check_destination(folder, folder=True)
    configs = [row_config(row, args) for row in rows]
    unused = [option for option in args.cfg_options if not any(has_field(cfg, option) for cfg in configs)]
    if unused:
        raise KeyError(f'--cfg-options {" ".join(unused)}: no row of this table has such a field')
    check_budget(args, folder)
    published = {score for row in rows for score in row}
    shown = [score for score in SCORES if not published & set(SCORES) or score in published]
    shown += [f'{score} ({args.gt_mean} GT-mean)' for score in GT_MEAN_SCORES if args.gt_mean != 'none']
    title = f'Table {args.table}: {table["title"]}; ours with {describe(args)}'
    results = [dict(parts_of(cfg.model), runs={}, errors=[]) for cfg in configs]
    for seed in args.seeds:  # the whole table with the first seed comes first
        for number, (row, cfg, result) in enumerate(zip(rows, configs, results), 1):
            print(f'\n[{number}/{len(rows)}] {name_of(row)}, seed {seed}', flush=True)
            try:
                if 'parameters' not in result:
                    result['parameters'] = sum(weight.numel() for weight in MODELS.build(cfg.model).generator.parameters())
                result['runs'][seed] = run_row(deepcopy(cfg), seed, folder / name_of(row) / f'seed_{seed}')
            except Exception as error:  # one run must not lose the others
                if is_for_user(error):
                    show_error(error, name_of(row))
                else:
                    traceback.print_exc()
                result['errors'].append(message_of(error).splitlines()[0])
            text = write_tables(rows, results, shown, folder, title)
    print(f'\n{text}\nWritten to {folder}: table.md, table.csv and table.png')
    failed = [name_of(row) for row, result in zip(rows, results) if result['errors']]
    if failed:
        print(f'Failed: {", ".join(failed)}. Run the same command again once the cause is gone: only these are run')
    return len(failed)


if __name__ == '__main__':
    run_tool(main)
