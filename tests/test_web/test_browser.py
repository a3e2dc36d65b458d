"""The page in a real browser: Chromium, driven by Selenium (Debian: chromium, chromium-driver)."""
import json
import shutil
import urllib.request

import numpy as np
import pytest
from PIL import Image

pytest.importorskip('gradio')
pytest.importorskip('selenium')
CHROMIUM, DRIVER = shutil.which('chromium') or shutil.which('google-chrome'), shutil.which('chromedriver')
if not CHROMIUM or not DRIVER:
    pytest.skip('there is no Chromium with its chromedriver', allow_module_level=True)

from selenium import webdriver  # noqa: E402
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

BEFORE, AFTER = ('#slider [data-testid=imageslider-image]' + which for which in (':not(.fixed)', '.fixed'))
HANDLE = '#slider [data-testid=slider] .icon-wrap'
SECONDS = 60  # for what a busy computer does slowly
ARGUMENTS = ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--window-size=1360,1000')


@pytest.fixture(scope='module')
def chromium():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', dict(browser='ALL', performance='ALL'))
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


class Visitor:
    """Looks at the page and clicks on it."""

    def __init__(self, driver, url):
        self.driver = driver
        driver.get(url)
        self.see('#enhance')

    def see(self, selector, condition=lambda found: True):
        """Waits for an element, found by its CSS selector, that fulfills a condition."""

        def look(driver):
            found = driver.find_elements(By.CSS_SELECTOR, selector)
            return found[0] if found and condition(found[0]) else None

        return WebDriverWait(self.driver, SECONDS, ignored_exceptions=[StaleElementReferenceException]).until(
            look, f'{selector} does not appear, or not as expected')

    def click(self, selector):
        element = self.see(selector, lambda found: found.is_enabled())
        self.driver.execute_script('arguments[0].scrollIntoView({block: "center"}); arguments[0].click()', element)

    def drop(self, *photos):
        """Uploads photos."""
        self.see('#photos input[type=file]').send_keys('\n'.join(map(str, photos)))
        self.see('#photos', lambda found: all(photo.stem in found.text for photo in photos) and '⇣' in found.text)

    def picture(self, selector):
        """The pixels of a picture on the page, as the browser shows them, shrunk to 8x8."""
        self.see(selector, lambda found: found.get_property('complete') and found.get_property('naturalWidth'))
        pixels = self.driver.execute_script('''
            const canvas = document.createElement('canvas'); canvas.width = canvas.height = 8;
            const context = canvas.getContext('2d');
            context.drawImage(document.querySelector(arguments[0]), 0, 0, 8, 8);
            return Array.from(context.getImageData(0, 0, 8, 8).data)''', selector)
        return np.reshape(pixels, (8, 8, 4))[..., :3]


@pytest.fixture
def visitor(chromium, page):
    """In a tab of their own, which they close in the end: then nothing is left."""
    first = chromium.current_window_handle
    chromium.switch_to.new_window('tab')
    yield Visitor(chromium, page.url)
    chromium.close()
    chromium.switch_to.window(first)
    WebDriverWait(page, SECONDS).until(lambda page: not list(page.folder.iterdir()), 'something is left on the disk')


def test_upload_and_enhance(visitor, photos):
    """Two photos, and a damaged one."""
    visitor.drop(*photos)
    visitor.click('#enhance')
    table = visitor.see('#table', lambda found: 'b.png' in found.text)
    assert '300x240' in table.text and 'damaged.jpg' not in table.text
    assert visitor.see('#problems').text.startswith('damaged.jpg cannot be read as an image')
    visitor.click('#chosen label:first-of-type input')
    visitor.see('#slider', lambda found: 'a.jpg' in found.text)
    before, after = visitor.picture(BEFORE), visitor.picture(AFTER)
    with Image.open(photos[0]) as photo:
        assert np.abs(before - np.asarray(photo.resize((8, 8), Image.Resampling.BOX), float)).mean() < 8
    assert after.mean() - before.mean() > 30
    assert '50%' in visitor.see(AFTER).get_attribute('style')
    webdriver.ActionChains(visitor.driver).drag_and_drop_by_offset(visitor.see(HANDLE), 80, 0).perform()
    visitor.see(AFTER, lambda found: '50%' not in found.get_attribute('style'))
    links = visitor.driver.find_elements(By.CSS_SELECTOR, '#results a')
    assert [link.get_attribute('download') for link in links] == ['a.jpg', 'b.png']
    with urllib.request.urlopen(links[0].get_attribute('href')) as response, Image.open(response) as result:
        assert result.format == 'JPEG' and result.size == (300, 240) and result.getexif()[0x010f] == 'a camera'


def test_strength_by_class(visitor, photos):
    visitor.drop(photos[0])
    visitor.click('#classes button')
    visitor.click('#find')
    visitor.picture('#map img')
    visitor.see('.class input[type=number]')
    for field in visitor.driver.find_elements(By.CSS_SELECTOR, '.class input[type=number]'):
        field.send_keys(Keys.CONTROL, 'a')
        field.send_keys('0', Keys.TAB)
    visitor.click('#enhance')
    visitor.see('#table', lambda found: 'a.jpg' in found.text)
    # Only classes with less than a hundredth of the photo are enhanced.
    assert np.abs(visitor.picture(BEFORE) - visitor.picture(AFTER)).mean() < 3


def test_24_megapixels(visitor, tmp_path):
    coarse = Image.fromarray(np.random.default_rng(0).integers(0, 90, (12, 18, 3), dtype=np.uint8))
    coarse.resize((6000, 4000)).save(tmp_path / 'large.jpg', quality=80)
    visitor.drop(tmp_path / 'large.jpg')
    visitor.click('#enhance')
    visitor.see('#table', lambda found: '6000x4000' in found.text)
    assert visitor.picture(AFTER).mean() - visitor.picture(BEFORE).mean() > 30


def test_too_large_a_file(visitor, tmp_path):
    (tmp_path / 'large.jpg').write_bytes(bytes(2_100_000))
    visitor.see('#photos input[type=file]').send_keys(str(tmp_path / 'large.jpg'))
    visitor.see('.toast-body', lambda found: 'maximum allowed size of 2' in found.text and 'large.jpg' in found.text)


def test_without_a_photo(visitor):
    visitor.click('#enhance')
    visitor.see('.toast-body', lambda found: 'There is no photo yet' in found.text)


def test_nothing_comes_from_elsewhere(visitor, page):
    """All that the browser has asked for in this module."""
    asked = set()
    for entry in visitor.driver.get_log('performance'):
        message = json.loads(entry['message'])['message']
        if message['method'] == 'Network.requestWillBeSent':
            asked.add(message['params']['request']['url'])
    here = {url for url in asked if url.startswith((page.url, 'data:', 'blob:', 'about:', 'chrome:'))}
    assert len(here) > 20 and asked == here
    assert not [entry for entry in visitor.driver.get_log('browser') if 'Content Security Policy' in entry['message']]
