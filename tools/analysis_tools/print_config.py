"""Prints a config as the tools see it, with its bases merged: ``print_config.py configs/skf/drbn_skf_lol.py``."""
import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # this checkout's mmskf, whichever is installed


from mmskf.apis import load_config
from mmskf.utils.errors import run_tool
from mmskf.utils.options import add_cfg_options


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Print a whole config')
    parser.add_argument('config', help='path or name of a config')
    add_cfg_options(parser)
    return parser.parse_args(args)


def main(args=None):
    args = parse_args(args)
    print(load_config(args.config, args.cfg_options).pretty_text)


if __name__ == '__main__':
    run_tool(main)
