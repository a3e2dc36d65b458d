"""Compares SCHLoss with a plain loop over samples, classes and channels: time, peak memory, and results.

The loop is Eq. 7 to 10 of SKF as in the released code: for each sample, class and channel, two sigmoids per pixel and bin. Both
run with the released options (edges i / 256, no pixels ignored) on the same images, and only the first image needs a gradient, as
in training. Each implementation runs in a fresh process for each case, so that neither profits from memory warmed up by the
other.

The label maps are made of regions: 15 of the 59 classes, drawn for each image, get random scores on a coarse grid, which are
upsampled and compared.
"""
import argparse
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

import torch
import torch.nn.functional as F

from mmskf.apis.cli import add_device_argument
from mmskf.models.losses import SCHLoss
from mmskf.utils.errors import run_tool
from mmskf.utils.memory import read_peak, reset_peak
from mmskf.utils.options import positive

NUM_CLASSES = 59
CLASSES_PER_IMAGE = 15
ALPHA = 400.
CASES = ('8x3x160x160', '1x3x400x600')


def naive_histogram(values):
    """Soft counts (256, ) of the values (P, ): sum_j sigmoid(alpha (x_j - e_i)) - sigmoid(alpha (x_j - e_i+1))."""
    edges = torch.arange(257, device=values.device) / 256
    lower = torch.sigmoid(ALPHA * (values[None] - edges[:-1, None]))
    upper = torch.sigmoid(ALPHA * (values[None] - edges[1:, None]))
    return (lower - upper).sum(1)


def naive_loss(pred, target, labels):
    """The SCH loss, one sample, class and channel at a time."""
    loss = 0
    for pred_image, target_image, label_map in zip(pred, target, labels):
        for label in range(NUM_CLASSES):
            region = label_map == label
            for pred_channel, target_channel in zip(pred_image, target_image):
                loss = loss + F.l1_loss(naive_histogram(pred_channel[region]), naive_histogram(target_channel[region]))
    return loss / labels.numel()


LOSSES = {'naive': naive_loss, 'SCHLoss': SCHLoss(NUM_CLASSES, bins='official', alpha=ALPHA, edge_width=0)}


def make_inputs(shape, device):
    """Two images of smooth patches with noise, the second with 256 levels, and a label map."""
    generator = torch.Generator().manual_seed(0)
    num_images, channels, height, width = shape

    def smooth(channels):
        coarse = torch.randn(num_images, channels, 5, 7, generator=generator)
        return F.interpolate(coarse, size=(height, width), mode='bicubic')

    target = torch.sigmoid(smooth(channels))
    pred = target * 0.9 + 0.02 * torch.randn(target.shape, generator=generator)
    chosen = torch.stack([torch.randperm(NUM_CLASSES, generator=generator)[:CLASSES_PER_IMAGE] for _ in range(num_images)])
    labels = chosen.gather(1, smooth(CLASSES_PER_IMAGE).argmax(1).flatten(1)).view(num_images, height, width)
    target = target.mul(255).round().div(255)
    return pred.to(device), target.to(device), labels.to(device)


def synchronize(device):
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def measure(name, shape, device, threads, repeats):
    """Runs one implementation; must be called in a fresh process.

    Returns:
        dict: ``forward`` and ``backward`` (seconds, median), ``memory`` (bytes), ``loss``, ``grad``.
    """
    torch.set_num_threads(threads)
    loss_function, device = LOSSES[name], torch.device(device)
    # The libraries' own buffers are made by a first, tiny call and do not count.
    pred, target, labels = make_inputs((1, 3, 32, 32), device)
    loss_function(pred.requires_grad_(), target, labels).backward()

    pred, target, labels = make_inputs(shape, device)
    pred.requires_grad_()
    before = reset_peak(device)
    loss_function(pred, target, labels).backward()
    memory = read_peak(device) - before

    forward, backward = [], []
    for _ in range(repeats):
        pred.grad = None
        synchronize(device)
        start = time.perf_counter()
        loss = loss_function(pred, target, labels)
        synchronize(device)
        middle = time.perf_counter()
        loss.backward()
        synchronize(device)
        forward.append(middle - start)
        backward.append(time.perf_counter() - middle)
    return dict(
        forward=statistics.median(forward),
        backward=statistics.median(backward),
        memory=memory,
        loss=loss.item(),
        grad=pred.grad.cpu().numpy(),
        classes=[len(label_map.unique()) for label_map in labels])


def in_fresh_process(*args):
    with ProcessPoolExecutor(1, mp_context=get_context('spawn')) as pool:
        return pool.submit(measure, *args).result()


def report(case, naive, ours):
    """Prints the table of one case."""
    counts = sorted(naive['classes'])
    print(f'\n{case}, {NUM_CLASSES} classes, {counts[0]} (fewest) to {counts[-1]} (most) of them in an image')
    print(f'{"":18}{"naive":>12}{"SCHLoss":>12}{"ratio":>9}')
    for result in (naive, ours):
        result['total'] = result['forward'] + result['backward']
    rows = [('forward', 'forward', 1e3, 'ms'), ('backward', 'backward', 1e3, 'ms'), ('forward+backward', 'total', 1e3, 'ms'),
            ('peak memory', 'memory', 2**-20, 'MB')]
    for title, key, factor, unit in rows:
        print(f'{title:18}{naive[key] * factor:9.1f} {unit}{ours[key] * factor:9.1f} {unit}{naive[key] / ours[key]:8.1f}x')
    grad_scale = abs(naive['grad']).max()
    print(f'loss {naive["loss"]:.7g}, difference {abs(naive["loss"] - ours["loss"]) / naive["loss"]:.1e} of it; largest '
          f'difference of the gradient {abs(naive["grad"] - ours["grad"]).max() / grad_scale:.1e} of its largest value')


def batch_shape(text):
    """'1x3x400x600' -> its four numbers."""
    num_images, channels, height, width = map(int, text.split('x'))
    return num_images, channels, height, width


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Compares SCHLoss with a plain loop: time, memory and numbers.')
    add_device_argument(parser)
    parser.add_argument('--threads', type=positive, default=2, help='threads of the CPU (default: 2)')
    parser.add_argument('--repeats', type=positive, default=5, help='timed runs, of which the median is shown (default: 5)')
    parser.add_argument('--cases', nargs='+', type=batch_shape, default=[batch_shape(case) for case in CASES], metavar='NxCxHxW',
                        help=f'sizes (default: {" ".join(CASES)})')
    return parser.parse_args(args)


def main(args=None):
    args = parse_args(args)
    where = torch.cuda.get_device_name(args.device) if args.device.startswith('cuda') else f'CPU, {args.threads} thread(s)'
    print(f'SCH loss, forward and backward, float32, {where}, median of {args.repeats}')
    for case in args.cases:
        results = [in_fresh_process(name, case, args.device, args.threads, args.repeats) for name in LOSSES]
        report('x'.join(map(str, case)), *results)


if __name__ == '__main__':
    run_tool(main)
