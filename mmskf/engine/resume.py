"""Finds the checkpoint from which an interrupted training resumes."""
from pathlib import Path

from mmskf.weights import check_whole, training_state


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest intact checkpoint of a training, by the time and iteration stored in the checkpoints themselves.

    It is searched for in the work dir, and in the folder of the checkpoint named by its ``last_checkpoint``; that file may be
    missing, empty or wrong. Checkpoints without a training state ('best_*.pth') do not count.

    Args:
        work_dir (str | Path): Work dir of the training.

    Returns:
        Path or None: None if there is no checkpoint at all.

    Raises:
        ValueError: If there are checkpoints, but none to resume from; says why for each.
    """
    work_dir = Path(work_dir)
    files = set(work_dir.glob('*.pth'))
    pointer = work_dir / 'last_checkpoint'
    named = Path(pointer.read_text(errors='replace').strip()) if pointer.is_file() else None
    if named is not None and named.name:
        files |= set(named.parent.glob('*.pth'))
    found, faults = [], []
    for path in sorted(files):
        try:
            meta = training_state(path)
            found.append((meta.get('time', ''), meta['iter'], path))
        except (ValueError, OSError, KeyError) as error:
            faults.append(str(error))
    for *_, path in sorted(found, reverse=True):
        try:
            check_whole(path)
            return path
        except ValueError as error:
            faults.append(str(error))
    if not files:
        return None
    raise ValueError(f'{work_dir} contains {len(files)} checkpoints, but training can resume from none of them: '
                     f'{"; ".join(faults)}. Give another one with --resume PATH, or another --work-dir to start over')
