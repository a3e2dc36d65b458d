"""Finding the checkpoint that an interrupted training goes on from."""
from pathlib import Path
from typing import Optional, Union

from mmskf.weights import check_whole, training_state


def newest_checkpoint(work_dir: Union[str, Path]) -> Optional[Path]:
    """The newest checkpoint of a training that is whole, by the time and iteration that the checkpoints themselves hold.

    Looked for in the work dir, and in the folder of the checkpoint that its ``last_checkpoint`` names; that file may be absent,
    empty or wrong. Checkpoints without the state of a training ('best_*.pth') do not count.

    Args:
        work_dir (str | Path): Of the training.

    Returns:
        Path or None: None where there is no checkpoint at all.

    Raises:
        ValueError: If there are checkpoints, and a training can go on from none of them; says what each is.
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
    raise ValueError(f'{work_dir} holds {len(files)} checkpoints, and a training can go on from none of them: {"; ".join(faults)}. '
                     'Give another one with --resume PATH, or another --work-dir to start anew')
