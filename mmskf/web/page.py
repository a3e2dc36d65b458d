"""The page: what visitors see, and what happens when they click."""
import json
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal

import gradio as gr

from mmskf import __version__
from mmskf.utils.errors import OF_CALL, OF_EXECUTION, message_of

from .studio import SCORED_PIXELS, Outcome, Studio
from .visits import Visits

#: Files that gradio knows of are removed after a day, in case that a visitor left unnoticed. In seconds: how often, how old.
DELETE_CACHE = (3600, 86400)
#: A slider of a class writes its value to the dict of all, in the browser.
NOTE_STRENGTH = '(value, strengths) => ({{...strengths, {name}: value}})'
#: Of components that are on the page from the start: those that gradio creates later can make it hang.
HIDDEN: Literal['hidden'] = 'hidden'
INTRODUCTION = '# mmskf\nMakes dark photos bright.'
CLASSES_HELP = ('Parts of the photo can have another strength: a night sky can stay dark while the street gets bright. They are '
                'found by a segmentation network, which may be wrong: look at its map first.')
TABLE_HELP = ('NIQE tells how natural a photo looks, lower is better; in a photo with more than '
              f'{SCORED_PIXELS / 1e6:g} megapixels the middle is scored. Memory is the peak of the whole program.')
PRIVACY = 'Photos and results are removed from the disk when you leave this page.'
CSS = Path(__file__).with_name('page.css')
# The font is in gradio's own files; others would come from Google.
THEME = gr.themes.Base(
    primary_hue='blue', neutral_hue='slate', radius_size='sm', font_mono=('ui-monospace', 'monospace'),
    font=(gr.themes.LocalFont('IBM Plex Sans', (400, 600, 700)), 'system-ui', 'sans-serif'))


class Page:
    """The page, as gradio's ``blocks``.

    Args:
        studio (Studio): What enhances.
        visits (Visits): What keeps the files of visitors.
        file_limit (int): Maximum size of a file in megabytes, which is stated here and enforced by the server.
    """

    def __init__(self, studio: Studio, visits: Visits, file_limit: int):
        self.studio, self.visits = studio, visits
        self.limits = f'up to {file_limit} MB'
        if studio.pixel_limit is not None:
            self.limits += f' and {studio.pixel_limit / 1e6:g} megapixels'
        self.blocks = self._build()

    def enhance(self, photos: list[str] | None, model: str, strength: float, class_strength: dict[str, float] | None,
                request: gr.Request, progress: gr.Progress = gr.Progress()) -> Iterator[tuple]:  # noqa: B008
        """Enhances photos; class_strength gives classes another strength, such as {"sky": 0.2}."""
        paths = self._bring(photos, request)
        folder = self.visits.new_folder(_visitor(request), 'results')
        outcomes: list[Outcome] = []
        try:
            found = self.studio.enhance(paths, folder, model, strength, class_strength)
            yield _shown(outcomes)
            progress((0, len(paths)), unit='photos')
            for outcome in found:
                if not self.visits.expects(folder):
                    return
                outcomes.append(outcome)
                yield _shown(outcomes)
                progress((len(outcomes), len(paths)), unit='photos')
        except OF_CALL + OF_EXECUTION as error:
            raise _for_visitor(error) from error

    def find_classes(self, photos: list[str] | None, model: str, request: gr.Request) -> tuple[Any, ...]:
        """The semantic map of the first photo, its classes, and no strength for any of them."""
        path, *_ = self._bring(photos, request)
        folder = self.visits.new_folder(_visitor(request), 'map')
        try:
            picture, names = self.studio.find_classes(path, folder, model)
        except OF_CALL + OF_EXECUTION as error:
            raise _for_visitor(error) from error
        if not self.visits.expects(folder):
            raise gr.Error('You have left the page', print_exception=False)
        return gr.Image(str(picture), visible=True), names, {}

    def _bring(self, photos: list[str] | None, request: gr.Request) -> list[Path]:
        """Notes what a visitor has uploaded."""
        if not photos:
            raise gr.Error('There is no photo yet: drop one on the field "Photos", or click on it', print_exception=False)
        try:
            return self.visits.bring(_visitor(request), photos)
        except ValueError as error:
            raise _for_visitor(error) from error

    def _note_uploads(self, photos: list[str] | None, request: gr.Request) -> None:
        self._bring(photos, request)

    def _arrive(self, request: gr.Request) -> None:
        self.visits.arrive(_visitor(request))

    def _leave(self, request: gr.Request) -> None:
        self.visits.leave(_visitor(request))

    def _build(self) -> gr.Blocks:
        with gr.Blocks(title='mmskf', analytics_enabled=False, delete_cache=DELETE_CACHE, fill_width=True) as blocks:
            outcomes, classes = gr.State([]), gr.State([])
            gr.Markdown(INTRODUCTION, elem_id='introduction')
            with gr.Row(equal_height=False):
                with gr.Column(scale=2, min_width=320):
                    photos = gr.File(file_count='multiple', label=f'Photos, {self.limits}', height=170, elem_id='photos')
                    model = gr.Dropdown(self.studio.models, value=self.studio.default, label='Model', elem_id='model')
                    strength = gr.Slider(0, 1, 1, step=0.05, label='Strength', buttons=[], elem_id='strength',
                                         info='0: unchanged photo, 1: fully enhanced')
                    start = gr.Button('Enhance', variant='primary', size='lg', elem_id='enhance')
                    stop = gr.Button('Stop after this photo', size='sm', elem_id='stop')
                    with gr.Accordion('Strength by class', open=False, elem_id='classes'):
                        gr.Markdown(CLASSES_HELP)
                        find = gr.Button('Find the classes in the first photo', size='sm', elem_id='find')
                        overlay = gr.Image(visible=HIDDEN, show_label=False, interactive=False, buttons=['fullscreen'],
                                           elem_id='map')
                        class_strength = gr.JSON({}, visible=HIDDEN)
                        self._render_sliders(classes, strength, class_strength)
                with gr.Column(scale=5, min_width=480):
                    slider = gr.ImageSlider(label='Before and after', interactive=False, buttons=['fullscreen'],
                                            height=480, max_height=480, elem_id='slider')
                    chosen = gr.Radio([], label='Photo', visible=HIDDEN, elem_id='chosen')
                    problems = gr.HTML('', elem_id='problems')
                    results = gr.File(label='Download', file_count='multiple', visible=HIDDEN, interactive=False,
                                      elem_id='results')
                    table = gr.HTML('', elem_id='table')
            gr.Markdown(f'{PRIVACY} mmskf {__version__}', elem_id='privacy')

            one_at_a_time: dict[str, Any] = dict(concurrency_limit=1, concurrency_id='studio')
            at_once: dict[str, Any] = dict(queue=False, show_progress='hidden', api_visibility='private')
            running = start.click(self.enhance, [photos, model, strength, class_strength],
                                  [slider, chosen, problems, table, results, outcomes], api_name='enhance',
                                  show_progress_on=slider, **one_at_a_time)
            stop.click(None, None, None, cancels=running)
            find.click(self.find_classes, [photos, model], [overlay, classes, class_strength], api_name='find_classes',
                       show_progress_on=find, **one_at_a_time)
            gr.on([photos.change, model.change], lambda: (gr.Image(None, visible=HIDDEN), [], {}), None,
                  [overlay, classes, class_strength], **at_once)
            chosen.input(_choose, [outcomes, chosen], slider, **at_once)
            photos.upload(self._note_uploads, photos, None, **at_once)
            blocks.load(self._arrive, None, None, **at_once)
            blocks.unload(self._leave)
        return blocks

    @staticmethod
    def _render_sliders(classes: gr.State, strength: gr.Slider, class_strength: gr.JSON) -> None:
        """A slider for each class of the photo, which stands at the strength of the others until it is moved."""

        @gr.render([classes, strength, class_strength], triggers=[classes.change, strength.release], show_progress='hidden')
        def sliders(names: Sequence[str], others: float, own: dict[str, float]) -> None:
            for name in names:
                slider = gr.Slider(0, 1, own.get(name, others), step=0.05, label=name, buttons=[], interactive=True,
                                   elem_classes='class')
                slider.input(None, [slider, class_strength], class_strength, js=NOTE_STRENGTH.format(name=json.dumps(name)))


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)


def _for_visitor(error: Exception) -> gr.Error:
    """An error as the page shows it."""
    return gr.Error(escape(message_of(error)), print_exception=False)


def _succeeded(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.reason is None]


def _shown(outcomes: Sequence[Outcome]) -> tuple[Any, ...]:
    """What the page shows of outcomes: slider, choice of a photo, problems, table, results, and the outcomes."""
    done = _succeeded(outcomes)
    slider = _compared(done[-1]) if done else gr.ImageSlider(None, label='Before and after')
    chosen = gr.Radio([(outcome.name, index) for index, outcome in enumerate(done)], value=len(done) - 1,
                      visible=len(done) > 1 or HIDDEN)
    results = gr.File([str(outcome.result) for outcome in done], visible=bool(done) or HIDDEN, interactive=False)
    return slider, chosen, _problems(outcomes), _table(done), results, list(outcomes)


def _choose(outcomes: Sequence[Outcome], index: int) -> gr.ImageSlider:
    return _compared(_succeeded(outcomes)[index])


def _compared(outcome: Outcome) -> gr.ImageSlider:
    return gr.ImageSlider((str(outcome.before), str(outcome.after)), label=outcome.name)


def _problems(outcomes: Sequence[Outcome]) -> str:
    """What went wrong, and what else the visitor may not expect, as HTML."""
    items = [outcome.reason for outcome in outcomes if outcome.reason is not None]
    items += [note for outcome in outcomes for note in outcome.notes]
    return ''.join(f'<p>{escape(item)}</p>' for item in items)


def _table(outcomes: Sequence[Outcome]) -> str:
    """The figures of outcomes, as HTML; nothing without outcomes."""
    if not outcomes:
        return ''

    def score(value: float | None) -> str:
        return 'not measured' if value is None else f'{value:.2f}'

    head = ''.join(f'<th>{title}</th>' for title in ('Photo', 'Size', 'NIQE before', 'NIQE after', 'Time', 'Memory'))
    rows = []
    for outcome in outcomes:
        width, height = outcome.size or (0, 0)
        memory = 'not measured' if outcome.memory is None else f'{outcome.memory / 2**30:.1f} GiB'
        cells = (outcome.name, f'{width}x{height}', *map(score, outcome.niqe), f'{outcome.seconds:.1f} s', memory)
        rows.append(''.join(f'<td>{escape(cell)}</td>' for cell in cells))
    body = ''.join(f'<tr>{row}</tr>' for row in rows)
    return f'<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{TABLE_HELP}</p>'
