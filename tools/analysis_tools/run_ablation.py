"""Runs a table of the paper's ablations and prints it next to the paper's: ``run_ablation.py 3 --methods drbn --iters 20000``.

Each row is trained and tested with the same data, budget and seed. Finished rows are not run again, an interrupted row is
resumed; a failed one does not stop the others. The paper's scores are for LOL and for full training: they are shown for
orientation, not for comparison with a smaller budget or other data.
"""
import argparse
import csv
import json
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import mmengine
from mmengine import fileio
from mmengine.config import Config, DictAction

from mmskf.apis import config_root, find_config, load_config, use_amp
from mmskf.apis.config import check_options, datasets, paired_layouts
from mmskf.engine import Runner
from mmskf.evaluation import NOT_MEASURED
from mmskf.registry import MODELS
from mmskf.utils.options import item_index, merge_options
from mmskf.utils.tables import markdown_table, write_csv

PARTS = ('SCH', 'SA', 'SE')
SCORES = ('PSNR', 'SSIM', 'LPIPS', 'NIQE')
# Fields of a learning-rate schedule that are iterations.
ITERATIONS = ('begin', 'end', 'milestones', 'T_max', 'step_size', 'total_iters', 'periods')
# Options shared by the rows of a table.
BUDGET = ('data_root', 'layout', 'iters', 'batch_size', 'crop', 'skb', 'seed', 'amp', 'cfg_options')


def parse_args(args=None):
    parser = argparse.ArgumentParser(description="Run a table of the paper's ablations")
    parser.add_argument('table', type=int, choices=paper_tables(), help='number of the table in the paper')
    parser.add_argument('--methods', nargs='+', help='methods of the table (default: all), such as drbn')
    parser.add_argument('--data-root', help="where the images are (default: the layout's)")
    parser.add_argument('--layout', choices=paired_layouts(), default='lol',
                        help='folder names: as in LOL, as in the real part of LOL-v2, or {train,test}/{low,high}')
    parser.add_argument('--iters', type=int, help="training iterations of every row; schedules are scaled accordingly (default: "
                        "the method's own)")
    parser.add_argument('--batch-size', type=int, help="batch size of all stages (default: the method's own)")
    parser.add_argument('--crop', type=int, help="side of the training crops, of all stages (default: the method's own)")
    parser.add_argument('--skb', metavar='CONFIG', help='another knowledge bank, such as skb/hrnet_w18s_camvid')
    parser.add_argument('--seed', type=int, default=0, help='(default: 0)')
    parser.add_argument('--amp', action='store_true', help='mixed precision: float16 on a GPU, bfloat16 on a CPU')
    parser.add_argument('--work-dir', help='where rows and tables go (default: work_dirs/ablation_table_N)')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, default={}, metavar='FIELD=VALUE',
                        help='change fields of every config that has them, such as optim_wrapper.optimizer.lr')
    return parser.parse_args(args)


def paper_tables():
    """Number of a table -> its title and rows, as in configs/ablation/paper_tables.yml."""
    return mmengine.load(config_root() / 'ablation' / 'paper_tables.yml')


def choose_rows(table, methods=None):
    """The rows of a table that belong to the methods.

    Raises:
        ValueError: If a method is not in the table.
    """
    for method in methods or ():
        if method not in table['rows']:
            raise ValueError(f'--methods {method}: this table has {", ".join(table["rows"])}')
    return [row for method in methods or table['rows'] for row in table['rows'][method]]


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


def row_config(name, args):
    """The Runner's config of a row: its own, with the data and the budget that all rows share.

    Args:
        name (str): Name of the config.
        args (Namespace): Arguments from :func:`parse_args`.

    Returns:
        Config: Without validation; an option of ``--cfg-options`` acts where the config has what it belongs to.
    """
    cfg = load_config(name)
    for split, folders in paired_layouts()[args.layout].items():
        dataset = cfg[f'{split}_dataloader'].dataset
        for name in ('exclude', 'filename_tmpl'):  # some layouts have none
            dataset.pop(name, None)
        dataset.update(folders)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    if args.data_root:
        for dataset in datasets(cfg):
            dataset.data_root = args.data_root
    if args.skb and cfg.model.get('skb'):
        cfg.model.skb = Config.fromfile(find_config(args.skb)).skb
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
    cfg.merge_from_dict({'randomness.seed': args.seed})
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


def run_row(cfg, folder):
    """Trains and tests one row, or resumes it.

    Returns:
        dict[str, str]: Name -> mean over the test images.
    """
    scores = folder / 'scores.csv'
    if not scores.is_file():
        cfg.work_dir, cfg.resume = str(folder), True
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='PerImageScoresHook', out_file=f'{scores}.part')]
        runner = Runner.from_cfg(cfg)
        runner.train()
        runner.test()
        Path(f'{scores}.part').rename(scores)
    with open(scores) as file:
        return list(csv.DictReader(file))[-1]


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


def write_tables(rows, results, folder, title):
    """Writes table.md and table.csv and returns the text of the first.

    Args:
        rows (list[dict]): Rows of the paper's table.
        results (list[dict]): For each row its parts, parameters and scores, or an error.
        folder (Path): The output folder.
        title (str): Line above the table.
    """
    shown = [score for score in SCORES if any(score in row for row in rows)]
    sizes = any('M' in row for row in rows)
    header = ['config', *PARTS, 'parameters', *shown, *['paper: param (M)'] * sizes, *(f'paper: {score}' for score in shown)]
    lines = []
    for row, result in zip(rows, results):
        measured = [measured_score(result, score) for score in shown]
        if 'error' in result:
            measured[0] = f'failed: {result["error"]}'
        lines.append([row['config'], *(result[part] for part in PARTS), str(result.get('parameters', '')), *measured,
                      *[f'{row["M"]:.2f}' if 'M' in row else ''] * sizes,
                      *(f'{row[score]:.3f}' if score in row else '' for score in shown)])
    write_csv(folder / 'table.csv', header, lines)
    notes = [f'- {row["config"]}: {row["note"]}\n' for row in rows if 'note' in row]
    text = ''.join([f'{title}\n\n', markdown_table(header, lines), *['\n'] * bool(notes), *notes])
    fileio.put_text(text, folder / 'table.md')
    return text


def measured_score(result, score):
    """A score in the paper's format, with the note of the report: '20.870 (exposure from the ground truth)'."""
    for name, value in result.items():
        if name == score or name.startswith(f'{score} ('):
            return value if value == NOT_MEASURED else f'{float(value):.3f}{name[len(score):]}'
    return NOT_MEASURED


def describe(args):
    """The budget in words."""
    given = [f'{args.iters} iterations' if args.iters else 'as many iterations as each method has', f'seed {args.seed}',
             f'data from {args.data_root or args.layout}']
    chosen = dict(batch=args.batch_size, crop=args.crop, bank=args.skb)
    given += [f'{name} {value}' for name, value in chosen.items() if value]
    return ', '.join([*given, *(f'{field}={value}' for field, value in args.cfg_options.items())])


def main(args=None):
    args = parse_args(args)
    table = paper_tables()[args.table]
    rows = choose_rows(table, args.methods)
    folder = Path(args.work_dir or f'work_dirs/ablation_table_{args.table}')
    configs = [row_config(row['config'], args) for row in rows]
    unused = [option for option in args.cfg_options if not any(has_field(cfg, option) for cfg in configs)]
    if unused:
        raise KeyError(f'--cfg-options {" ".join(unused)}: no row of this table has such a field')
    check_budget(args, folder)
    results = []
    for number, (row, cfg) in enumerate(zip(rows, configs), 1):
        print(f'\n[{number}/{len(rows)}] {row["config"]}', flush=True)
        result = parts_of(cfg.model)
        try:
            generator = MODELS.build(cfg.model).generator
            result['parameters'] = sum(weight.numel() for weight in generator.parameters())
            result.update(run_row(cfg, folder / Path(row['config']).stem))
        except Exception as error:  # one row must not lose the others
            traceback.print_exc()
            result['error'] = str(error).splitlines()[0] if str(error) else type(error).__name__
        results.append(result)
        text = write_tables(rows, results, folder, f'Table {args.table}: {table["title"]}; ours with {describe(args)}')
    print(f'\n{text}\nWritten to {folder}/table.md and table.csv')
    failed = [row['config'] for row, result in zip(rows, results) if 'error' in result]
    if failed:
        print(f'Failed: {", ".join(failed)}. Run the same command again once the cause is gone: only these are run')
    return len(failed)


if __name__ == '__main__':
    sys.exit(main() > 0)
