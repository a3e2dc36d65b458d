import itertools
import os
import resource
import signal
import sys
import threading
import time
from fractions import Fraction

import numpy as np
import pytest

from mmskf.apis import enhance_video, video_suffix
from mmskf.apis.video import GainSmoother

av = pytest.importorskip('av')
SIZE = (64, 48)
# In milliseconds: a camera that dropped frames and slowed down.
TIMES = [0, 40, 80, 120, 200, 240, 280, 390, 500, 610]
DARK, BRIGHT = (20, 30, 60), (40, 60, 120)


def make(path, size=SIZE, codec='libx264', pix_fmt='yuv420p', audio='aac', rotation=0, colors=None, pixel_aspect=None):
    """A video with a bright square in its upper left corner and a tone."""
    width, height = size
    with av.open(str(path), 'w') as writer:
        video = writer.add_stream(codec, rate=25)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        video.codec_context.time_base = Fraction(1, 1000)
        if pixel_aspect:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation:
            if not hasattr(video, 'set_display_rotation'):
                pytest.skip('this PyAV cannot write a video that is marked as turned')
            video.set_display_rotation(rotation)
        for name, value in (colors or {}).items():
            setattr(video.codec_context, name, value)
        writer.metadata['title'] = 'night walk'
        tone = writer.add_stream(audio, rate=8000, layout='mono') if audio else None
        picture = np.full((height, width, 3), DARK, np.uint8)
        picture[:16, :16] = 200
        for milliseconds in TIMES:
            frame = av.VideoFrame.from_ndarray(picture, 'rgb24')
            frame.pts, frame.time_base = milliseconds, Fraction(1, 1000)
            writer.mux(video.encode(frame))
        writer.mux(video.encode())
        if audio:
            samples = (np.sin(np.arange(5120) * 0.3) * 8000).astype(np.int16)
            for start in range(0, len(samples), 1024):
                frame = av.AudioFrame.from_ndarray(samples[None, start:start + 1024], 's16', 'mono')
                frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
                writer.mux(tone.encode(frame))
            writer.mux(tone.encode())
    return path


def read(path):
    """Everything of a video that should be kept, and its frames as stored."""
    with av.open(str(path)) as reader:
        video = reader.streams.video[0]
        frames = list(reader.decode(video))
        seen = dict(
            times=[float(frame.time) for frame in frames], frames=[frame.to_ndarray(format='rgb24') for frame in frames],
            colors=[getattr(video.codec_context, name) for name in ('colorspace', 'color_range', 'color_primaries', 'color_trc')],
            rotation=frames[0].rotation, codec=video.codec_context.name,
            title=reader.metadata.get('title', reader.metadata.get('TITLE')), pixel_aspect=video.sample_aspect_ratio)
        reader.seek(0)
        packets = list(reader.demux(audio=0)) if reader.streams.audio else []
        seen['audio'] = [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.dts is not None]
    return seen


def double(image):
    return np.minimum(image.astype(int) * 2, 255).astype(np.uint8)


@pytest.mark.parametrize('name, options, codec', [
    ('clip.mp4', {}, 'h264'),
    ('clip.mkv', {}, 'h264'),
    ('CLIP.MOV', dict(audio='pcm_s16le'), 'h264'),
    ('clip.webm', dict(codec='libvpx-vp9', audio=None), 'vp9'),
    ('silent.mkv', dict(size=(65, 49), pix_fmt='yuv444p', audio=None), 'h264'),
])
def test_times_audio_and_title_are_kept(tmp_path, name, options, codec):
    before = read(make(tmp_path / name, **options))
    target = tmp_path / 'out' / f'bright{video_suffix(name)}'
    assert enhance_video(tmp_path / name, target, double, show_progress=False) == len(TIMES)
    after = read(target)
    assert after['times'] == before['times'] == [milliseconds / 1000 for milliseconds in TIMES]
    assert after['audio'] == before['audio'] and bool(after['audio']) == (options.get('audio', 'aac') is not None)
    assert after['title'] == 'night walk' and after['codec'] == codec
    for old, new in zip(before['frames'], after['frames']):
        assert new.shape == old.shape
        assert np.abs(new[20:, 20:].mean(axis=(0, 1)) - BRIGHT).max() < 5 and new[2:12, 2:12].mean() > 240


def test_a_kind_that_is_not_written_becomes_mkv(tmp_path):
    """With the audio as it is, whatever kind that has."""
    source = make(tmp_path / 'old.avi', codec='mpeg4', audio='pcm_s16le')
    assert video_suffix(source) == '.mkv' and video_suffix('a.MP4') == '.mp4'
    target = tmp_path / 'old.mkv'
    enhance_video(source, target, double, show_progress=False)
    assert read(target)['audio'] == read(source)['audio']
    with pytest.raises(ValueError, match='new.avi has no supported video format: choose .mp4'):
        enhance_video(source, tmp_path / 'new.avi', double)
    with pytest.raises(ValueError, match='.webm does not support the audio codec pcm_s16le of the video: choose .mkv'):
        enhance_video(source, tmp_path / 'new.webm', double)
    assert not list(tmp_path.glob('new.*'))


def test_turned_frames_are_upright(tmp_path):
    """90 degrees counterclockwise: the square of the upper left corner is then in the lower left one."""
    source = make(tmp_path / 'phone.mp4', rotation=90, pixel_aspect=Fraction(4, 3))
    assert read(source)['rotation'] == 90
    shapes = set()
    enhance_video(source, tmp_path / 'out.mp4', lambda image: shapes.add(image.shape) or image, show_progress=False)
    after = read(tmp_path / 'out.mp4')
    assert shapes == {(64, 48, 3)} == {frame.shape for frame in after['frames']}
    assert after['rotation'] == 0 and after['pixel_aspect'] == Fraction(3, 4)
    assert after['frames'][0][-12:-2, 2:12].mean() > 180 and after['frames'][0][:40].mean() < 60


@pytest.mark.parametrize('colors', [
    dict(colorspace=1, color_range=1, color_primaries=1, color_trc=1),
    dict(colorspace=1, color_range=2, color_primaries=1, color_trc=1),
    {},
])
def test_colors_are_read_and_written_alike(tmp_path, colors):
    """BT.709 in limited and full range, and a video that does not say: no shift of the colors, nor of their description."""
    before = read(make(tmp_path / 'clip.mp4', colors=colors))
    if colors:
        assert before['colors'] == list(colors.values())
    enhance_video(tmp_path / 'clip.mp4', tmp_path / 'out.mp4', lambda image: image, show_progress=False)
    after = read(tmp_path / 'out.mp4')
    assert after['colors'] == before['colors']
    for old, new in zip(before['frames'], after['frames']):
        assert np.abs(new[20:, 20:].astype(int) - old[20:, 20:]).max() <= 2


def test_hdr_is_refused(tmp_path):
    source = make(tmp_path / 'hdr.mkv', colors=dict(colorspace=9, color_primaries=9, color_trc=16))
    with pytest.raises(ValueError, match='hdr.mkv is HDR .PQ.*convert it to SDR'):
        enhance_video(source, tmp_path / 'out.mkv', double)


def test_the_source_is_never_replaced(tmp_path):
    source = make(tmp_path / 'clip.mp4')
    (tmp_path / 'link.mp4').symlink_to(source)
    os.link(source, tmp_path / 'hard.mp4')
    content = source.read_bytes()
    for name in ('clip.mp4', 'link.mp4', 'hard.mp4', f'../{tmp_path.name}/clip.mp4'):
        with pytest.raises(ValueError, match='is the video itself, which is never replaced'):
            enhance_video(source, tmp_path / name, double)
    assert source.read_bytes() == content


@pytest.mark.parametrize('content, error, message', [
    (None, FileNotFoundError, 'There is no video .*clip.mp4'),
    (b'', OSError, 'clip.mp4 cannot be read as a video'),
    (b'no video at all', OSError, 'clip.mp4 cannot be read as a video'),
    ('half', OSError, 'clip.mp4 cannot be read as a video'),
    ('sound', ValueError, 'clip.mp4 contains no video, but audio'),
])
def test_files_that_are_no_videos(tmp_path, content, error, message):
    source = tmp_path / 'clip.mp4'
    if content == 'half':
        whole = make(source).read_bytes()
        source.write_bytes(whole[:len(whole) // 2])
    elif content == 'sound':
        with av.open(str(source), 'w') as writer:
            tone = writer.add_stream('aac', rate=8000, layout='mono')
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), 's16', 'mono')
            frame.sample_rate = 8000
            writer.mux(tone.encode(frame))
            writer.mux(tone.encode())
    elif content is not None:
        source.write_bytes(content)
    with pytest.raises(error, match=message):
        enhance_video(source, tmp_path / 'out.mp4', double)
    assert not (tmp_path / 'out.mp4').exists()


def test_an_error_leaves_the_frames_before_it(tmp_path):
    source = make(tmp_path / 'clip.mp4')
    seen = []

    def fails_at_the_sixth(image):
        seen.append(image)
        if len(seen) == 6:
            raise RuntimeError('no memory')
        return image

    with pytest.raises(RuntimeError, match='no memory'):
        enhance_video(source, tmp_path / 'out.mp4', fails_at_the_sixth, show_progress=False)
    assert read(tmp_path / 'out.mp4')['times'] == [milliseconds / 1000 for milliseconds in TIMES[:5]]
    with pytest.raises(ValueError, match=r'uint8 \(48, 64, 3\), was enhanced to float64 \(48, 64, 3\)'):
        enhance_video(source, tmp_path / 'none.mp4', lambda image: image / 2, show_progress=False)
    assert not (tmp_path / 'none.mp4').exists()


def test_a_disk_that_takes_no_more_is_named(tmp_path):
    source, limits = make(tmp_path / 'clip.mp4'), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match='clip.mp4, at .* s: File too large while .* writing .*out.mkv, after 10 frames'):
            enhance_video(source, tmp_path / 'out.mkv', double, show_progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize('number, error', [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_stopped_run_leaves_a_video_that_can_be_played(tmp_path, number, error):
    source, target, count = make(tmp_path / 'clip.mp4'), tmp_path / 'out.mp4', itertools.count(1)

    def stopped_at_the_fifth(image):
        if next(count) == 5:
            os.kill(os.getpid(), number)
            time.sleep(10)  # which the signal ends
        return image

    with pytest.raises(error) as raised:
        enhance_video(source, target, stopped_at_the_fifth, show_progress=False)
    assert number == signal.SIGINT or raised.value.code == 128 + signal.SIGTERM
    after, before = read(target), read(source)
    assert after['times'] == [milliseconds / 1000 for milliseconds in TIMES[:4]]
    assert after['audio'] and after['audio'] == before['audio'][:len(after['audio'])]


def test_signals_are_left_alone_outside_the_main_thread(tmp_path):
    source, before, done = make(tmp_path / 'clip.mp4'), signal.getsignal(signal.SIGTERM), []

    def run():
        done.append(enhance_video(source, tmp_path / 'out.mp4', double, show_progress=False))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    run()
    assert done == 2 * [len(TIMES)]
    assert signal.getsignal(signal.SIGTERM) == before


def test_gain_is_smoothed():
    """A gain that jumps from 2 to 4 follows exp(-t / seconds) on the logarithmic scale."""
    image = np.random.default_rng(0).integers(20, 40, (30, 40, 3), dtype=np.uint8)
    smooth = GainSmoother(0.5)
    for step in range(3):
        assert np.array_equal(smooth(image, 2 * image, step / 10), 2 * image)
    for step in range(1, 8):
        found = smooth(image, 4 * image, 0.2 + step / 10).mean() / image.mean()
        assert found == pytest.approx(4 * 0.5**np.exp(-step / 5), rel=0.02)


def test_a_cut_begins_anew():
    image = np.full((8, 8, 3), 20, np.uint8)
    smooth = GainSmoother(10)
    smooth(image, 4 * image, 0.)
    assert smooth(image, 5 * image, 0.04)[0, 0, 0] == pytest.approx(80, abs=1)  # as before
    other = np.full((8, 8, 3), 50, np.uint8)
    assert np.array_equal(smooth(other, 2 * other, 0.08), 2 * other)


def test_black_and_white_frames_are_smoothed_without_a_warning(recwarn):
    smooth = GainSmoother(1)
    for value in (0, 255, 0):
        image = np.full((4, 4, 3), value, np.uint8)
        assert np.array_equal(smooth(image, image, 0.), image)
    assert not recwarn.list


def test_smoothing_of_a_video(tmp_path):
    """A method that flickers, gain 2 and 3 by turns, flickers less."""
    source = make(tmp_path / 'clip.mkv', audio=None)

    def flickers(image):
        flickers.odd = not flickers.odd
        return np.minimum(image.astype(int) * (2 + flickers.odd), 255).astype(np.uint8)

    flicker = []
    for smooth in (0, 1):
        flickers.odd = False
        enhance_video(source, tmp_path / 'out.mkv', flickers, smooth, show_progress=False)
        flicker.append(np.abs(np.diff([frame.mean() for frame in read(tmp_path / 'out.mkv')['frames']])).mean())
    assert flicker[1] < 0.3 * flicker[0]
    with pytest.raises(ValueError, match='smoothed over -1 seconds'):
        enhance_video(source, tmp_path / 'out.mkv', flickers, -1)


def test_without_pyav(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, 'av', None)
    with pytest.raises(ImportError, match=r'pip install "mmskf\[video\]"'):
        enhance_video(tmp_path / 'clip.mp4', tmp_path / 'out.mp4', double)
