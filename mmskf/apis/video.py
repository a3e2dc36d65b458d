"""Enhances a video file frame by frame, with PyAV; works with any function that enhances a frame."""
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import cv2
import numpy as np
from rich.console import Console
from rich.progress import track

from mmskf.utils.files import check_destination
from mmskf.utils.image import to_uint8

if TYPE_CHECKING:
    import av

Enhance = Callable[[np.ndarray], np.ndarray]

# Output formats: the encoder and its options, close to visually lossless.
H264 = ('libx264', dict(crf='18'))
VP9 = ('libvpx-vp9', {'crf': '24', 'b': '0', 'row-mt': '1', 'cpu-used': '4'})
ENCODERS = {'.mp4': H264, '.m4v': H264, '.mov': H264, '.mkv': H264, '.webm': VP9}
# Transfer curves of HDR in FFmpeg's numbers (SMPTE 2084, ARIB STD-B67): 8-bit RGB from these is not sRGB.
HDR = {16: 'PQ', 18: 'HLG'}
UNSPECIFIED = (0, 2)  # The matrix of RGB, and none.
# Color conversion flags of swscale (bicubic, full_chroma_int, full_chroma_inp, accurate_rnd): its fast default makes dark frames,
# which have few levels, one level too dark.
CONVERSION = 1 << 2 | 1 << 13 | 1 << 14 | 1 << 18
# A change of the input's brightness by this factor between two frames is a cut or a lamp, which is not smoothed.
CUT = 1.3


class Picture(NamedTuple):
    """Properties shared by the frames of a video, which are known only once a frame is decoded.

    Attributes:
        width (int): Width as stored.
        height (int): Height as stored.
        turns (int): Counterclockwise quarter turns that make it upright.
        colors (dict): Matrix, range, primaries and transfer curve, in FFmpeg's numbers.
        pixel_aspect (Fraction, optional): Width of a pixel over its height.
    """
    width: int
    height: int
    turns: int
    colors: dict[str, int]
    pixel_aspect: Fraction | None

    @property
    def matrix(self) -> int | None:
        """The matrix for the conversion to RGB and back; None for FFmpeg's default."""
        return self.colors['colorspace'] if self.colors['colorspace'] not in UNSPECIFIED else None


class GainSmoother:
    """Stabilizes the brightness of a video whose frames were enhanced one by one.

    The gain of a frame is the mean of its result divided by that of the input. Its logarithm is smoothed by a first-order
    low-pass filter, and the result is scaled to the smoothed gain. The filter restarts at a cut.

    Args:
        seconds (float): Time constant of the filter.

    Raises:
        ValueError: If it is not positive.
    """

    def __init__(self, seconds: float):
        if not seconds > 0:
            raise ValueError(f'Brightness cannot be smoothed over {seconds!r} seconds: give a positive number')
        self.seconds = seconds
        self.gain: float | None = None  # a logarithm, as the next
        self.brightness = 0.
        self.time = 0.

    def __call__(self, image: np.ndarray, result: np.ndarray, time: float) -> np.ndarray:
        """Scales the result of the next frame to the smoothed gain.

        Args:
            image (np.ndarray): Input frame, uint8 RGB (H, W, 3).
            result (np.ndarray): The enhanced frame, likewise.
            time (float): Time of the frame, in seconds.

        Returns:
            np.ndarray: uint8 RGB (H, W, 3).
        """
        # Half an 8-bit step keeps the logarithm of a black frame finite.
        brightness, enhanced = (float(np.log(picture.mean() + 0.5)) for picture in (image, result))
        gain = enhanced - brightness
        if self.gain is None or abs(brightness - self.brightness) > np.log(CUT):
            self.gain = gain
        self.gain += (1 - np.exp(-max(time - self.time, 0) / self.seconds)) * (gain - self.gain)
        self.brightness, self.time = brightness, time
        return cv2.LUT(result, to_uint8(np.arange(256) * np.exp(self.gain - gain)))


def enhance_video(source: str | Path,
                  target: str | Path,
                  enhance: Enhance,
                  smooth: float = 0.,
                  show_progress: bool = True) -> int:
    """Enhances a video frame by frame.

    Time stamps (including variable frame rates), audio, subtitles, chapters and metadata are kept; frames tagged as rotated
    become upright. The video itself is re-encoded in 8 bits (H.264, in WebM VP9) with the color matrix and range of the source.
    If there are several video streams, the best is used.

    If an error at a later frame, Ctrl-C or SIGTERM ends the run early, the target contains all previous frames and is playable.

    Args:
        source (str | Path): The video file.
        target (str | Path): The file to write, in a format of ``ENCODERS`` given by its extension. Its folder is created; an
            existing file is replaced, but never the source.
        enhance (callable): uint8 RGB (H, W, 3) -> the same.
        smooth (float): Time constant, in seconds, for smoothing the brightness gain against flicker: see :class:`GainSmoother`.
            Defaults to 0: no smoothing.
        show_progress (bool): Whether to show a progress bar. Defaults to True.

    Returns:
        int: Number of frames.

    Raises:
        ImportError: If PyAV is not installed.
        FileNotFoundError: If there is no such file.
        OSError: If it is damaged or not a video, or the target cannot be written.
        ValueError: If the target is the source or has an unknown format, the video is HDR, or has no frames; or if ``enhance``
            does not return an image of the frame's size.
    """
    av = import_pyav()
    source, target = Path(source), Path(target)
    _check_paths(source, target)
    check_destination(target)
    smoother = GainSmoother(smooth) if smooth else None
    picture = _look_at(av, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f'.{os.getpid()}-{target.name}')  # An earlier result is kept until the new one has a frame.
    done, time = 0, 0.
    try:
        with _open(av, source) as reader, av.open(str(part), 'w') as writer, _sigterm_exits():
            video = reader.streams.best('video')
            video.thread_type = 'AUTO'
            made = _add_video(writer, video, picture, *ENCODERS[target.suffix.lower()])
            copies = _add_copies(reader, writer, target)
            writer.metadata.update(reader.metadata)
            writer.set_chapters(reader.chapters())
            total = video.frames or (video.duration and int(video.duration * video.time_base * video.guessed_rate)) or None
            try:
                frames = _demux(reader, writer, video, copies)
                for frame in track(frames, f'Enhancing {source.name}', total, console=Console(stderr=True),
                                   disable=not show_progress):
                    time = time if frame.time is None else frame.time
                    stored = frame.to_ndarray(format='rgb24', interpolation=CONVERSION)
                    image = np.ascontiguousarray(np.rot90(stored, picture.turns))
                    result = _checked(enhance(image), image)
                    if smoother:
                        result = smoother(image, result, time)
                    writer.mux(made.encode(_to_frame(av, result, frame, picture, made.pix_fmt)))
                    done += 1
            finally:
                if done:
                    writer.mux(made.encode())
    except av.FFmpegError as error:
        raise OSError(f'{source}, at {time:.2f} s: {error.strerror} while reading it or writing {target}, after {done} frames '
                      'that were enhanced') from error
    finally:
        if done:
            os.replace(part, target)
        else:
            part.unlink(missing_ok=True)
    return done


@contextmanager
def _sigterm_exits() -> Iterator[None]:
    """Makes SIGTERM raise SystemExit, as Ctrl-C raises KeyboardInterrupt, so that files are closed; only in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def video_suffix(source: str | Path) -> str:
    """The extension for the result of a video: its own or, if that format is not written, '.mkv', which takes any audio."""
    suffix = Path(source).suffix.lower()
    return suffix if suffix in ENCODERS else '.mkv'


def import_pyav() -> ModuleType:
    """PyAV, or an ImportError that names the package."""
    try:
        import av
    except ImportError as error:
        raise ImportError('Videos are read and written by PyAV, which is not installed: pip install "mmskf[video]"') from error
    return av


def _check_paths(source: Path, target: Path) -> None:
    if not source.is_file():
        raise FileNotFoundError(f'There is no video {source}')
    if target.suffix.lower() not in ENCODERS:
        raise ValueError(f'{target} has no supported video format: choose {", ".join(ENCODERS)}')
    if target.exists() and os.path.samefile(source, target):
        raise ValueError(f'{target} is the video itself, which is never replaced: choose another name or folder for the result')


def _open(av: ModuleType, source: Path) -> Any:
    # A damaged title is no reason to reject a video.
    return av.open(str(source), metadata_errors='ignore')


def _look_at(av: ModuleType, source: Path) -> Picture:
    """Decodes the first frame.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it contains no video, or HDR.
    """
    try:
        with _open(av, source) as reader:
            video = reader.streams.best('video')
            frame = next(reader.decode(video), None) if video else None
            if frame is None:
                found = 'frame that can be decoded' if video else 'video, but audio or data only'
                raise ValueError(f'{source} contains no {found}')
            colors = {name: getattr(video.codec_context, name)
                      for name in ('colorspace', 'color_range', 'color_primaries', 'color_trc')}
            picture = Picture(frame.width, frame.height, round(frame.rotation / 90), colors, video.sample_aspect_ratio)
    except av.FFmpegError as error:
        raise OSError(
            f'{source} cannot be read as a video ({error.strerror}): it is damaged, incomplete or not a video') from error
    if colors['color_trc'] in HDR:
        raise ValueError(f'{source} is HDR ({HDR[colors["color_trc"]]}), but frames are enhanced as 8-bit sRGB: convert it to '
                         'SDR first')
    return picture


def _add_video(writer: Any, video: Any, picture: Picture, encoder: str, options: dict[str, str]) -> Any:
    """The output stream, with size, time base and colors of the source."""
    made = writer.add_stream(encoder, rate=video.guessed_rate, options=options)
    sideways = picture.turns % 2
    made.width, made.height = (picture.height, picture.width) if sideways else (picture.width, picture.height)
    # Chroma subsampling by 2 requires even sizes.
    made.pix_fmt = 'yuv444p' if made.width % 2 or made.height % 2 else 'yuv420p'
    context = made.codec_context
    context.time_base = video.time_base
    if picture.pixel_aspect:
        context.sample_aspect_ratio = 1 / picture.pixel_aspect if sideways else picture.pixel_aspect
    for name, value in picture.colors.items():
        if name != 'colorspace' or picture.matrix is not None:
            setattr(context, name, value)
    return made


def _add_copies(reader: Any, writer: Any, target: Path) -> dict[int, Any]:
    """The streams that are copied unchanged: index in the source -> stream of the result.

    Raises:
        ValueError: If the target's format does not support one of them.
    """
    copies = {}
    for stream in reader.streams:
        if stream.type in ('audio', 'subtitle'):
            codec = stream.codec_context.name if stream.codec_context else 'unknown'
            if codec not in writer.supported_codecs:
                raise ValueError(f'{target}: {target.suffix} does not support the {stream.type} codec {codec} of the video: '
                                 'choose .mkv, or the format of the video')
            copies[stream.index] = writer.add_stream_from_template(stream)
    return copies


def _demux(reader: Any, writer: Any, video: Any, copies: dict[int, Any]) -> Iterator['av.VideoFrame']:
    """Yields the frames, and copies the packets between them."""
    for packet in reader.demux(video, *(reader.streams[index] for index in copies)):
        if packet.stream.index == video.index:
            yield from packet.decode()
        elif packet.dts is not None:  # else it marks the end of its stream
            packet.stream = copies[packet.stream.index]
            writer.mux(packet)


def _checked(result: np.ndarray, image: np.ndarray) -> np.ndarray:
    if not isinstance(result, np.ndarray) or result.dtype != np.uint8 or result.shape != image.shape:
        found = f'{result.dtype} {result.shape}' if isinstance(result, np.ndarray) else type(result).__name__
        raise ValueError(f'A frame, uint8 {image.shape}, was enhanced to {found}, expected the same type and size')
    return result


def _to_frame(av: ModuleType, result: np.ndarray, frame: 'av.VideoFrame', picture: Picture, pix_fmt: str) -> 'av.VideoFrame':
    """A frame for the encoder, with the time and colors of its source frame."""
    rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(result), 'rgb24')
    made = rgb.reformat(format=pix_fmt, dst_colorspace=picture.matrix, dst_color_range=picture.colors['color_range'] or None,
                        interpolation=CONVERSION)
    made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
    return made
