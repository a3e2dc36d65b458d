"""Converts the authors' released weights: ``official_to_mmskf.py drbn model_s1.pt checkpoints/drbn.pth``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed

from mmskf.converters import CONVERSIONS, convert, find_parts, load_parts, save, source_files
from mmskf.utils.errors import run_tool
from mmskf.utils.files import check_destination
from mmskf.utils.image_folder import Originals


def parse_args(args=None):
    parser = argparse.ArgumentParser(description="Convert the authors' weights of a method, strictly")
    parser.add_argument('method', choices=sorted(CONVERSIONS))
    parser.add_argument('src', help='a file, a folder, or part=path,part=path,...')
    parser.add_argument('dst', help='the checkpoint to write')
    parser.add_argument('--parts', nargs='+', help='convert and check these subnets only (some released sets lack a subnet)')
    return parser.parse_args(args)


def main(args=None):
    args = parse_args(args)
    check_destination(args.dst)
    conversion = CONVERSIONS[args.method]
    paths = find_parts(conversion, args.src, args.parts).values()
    Originals((file for path in paths for file in source_files(path)), beside=False).check(args.dst)
    checkpoint = convert(conversion, load_parts(conversion, args.src, args.parts), args.parts)
    save(checkpoint, args.dst)
    numbers = sum(value.numel() for value in checkpoint['state_dict'].values())
    print(f'{args.dst}: {len(checkpoint["state_dict"])} tensors, {numbers:,} numbers, for {conversion.model}')


if __name__ == '__main__':
    run_tool(main)
