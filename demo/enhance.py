"""Enhances dark photos: ``python demo/enhance.py photo.jpg --model drbn_lol --weights drbn.pth --out-dir bright``."""
import argparse

from mmskf.apis import SKFInferencer, list_models


def parse_args(args=None):
    parser = argparse.ArgumentParser(description='Enhance dark photos, with or without a GPU')
    parser.add_argument('inputs', nargs='+', help='photos, or folders of photos')
    parser.add_argument('--model', required=True, help=f'a config, or one of: {", ".join(list_models())}')
    parser.add_argument('--weights', required=True, help='path or URL of its checkpoint')
    parser.add_argument('--out-dir', default='enhanced', help='where the results go (default: enhanced)')
    parser.add_argument('--device', help='such as cpu or cuda:0 (default: a GPU where there is one)')
    return parser.parse_args(args)


def main(args=None):
    args = parse_args(args)
    predictions = SKFInferencer(args.model, args.weights, args.device)(args.inputs, args.out_dir)['predictions']
    print(f'{len(predictions)} pictures in {args.out_dir}')


if __name__ == '__main__':
    main()
