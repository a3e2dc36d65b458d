"""The page in a real browser: Chromium, driven by Selenium (Debian: chromium, chromium-driver)."""
import json
import shutil
import time

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

SECONDS = 120  # for what a busy computer does slowly
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
        self.see('#photos', lambda found: all(photo.stem in found.text for photo in photos))

    def choose_model(self, name):
        field = self.see('#model input')
        field.click()
        field.send_keys(Keys.CONTROL, 'a')
        field.send_keys(name, Keys.ENTER)

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
    visitor = Visitor(chromium, page.url)
    yield visitor
    chromium.get('about:blank')  # leaves
    end = time.monotonic() + SECONDS
    while list(page.folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.1)
    assert not list(page.folder.iterdir())


def test_upload_and_enhance(visitor, photos):
    """Two photos, and a damaged one."""
    visitor.drop(*photos)
    visitor.click('#enhance')
    table = visitor.see('#table', lambda found: 'b.png' in found.text)
    assert '300 × 240' in table.text and 'damaged.jpg' not in table.text
    assert visitor.see('#problems').text.startswith('damaged.jpg cannot be read as an image')
    before, after = visitor.picture('#slider img:nth-of-type(1)'), visitor.picture('#slider img:nth-of-type(2)')
    assert abs(before.mean() - after.mean()) > 30
    links = [link.get_attribute('href') for link in visitor.driver.find_elements(By.CSS_SELECTOR, '#results a')]
    assert [link.rpartition('/')[2] for link in links] == ['a.jpg', 'b.png']
    handle = visitor.see('#slider .inner, #slider [role=slider], #slider .outer')
    webdriver.ActionChains(visitor.driver).drag_and_drop_by_offset(handle, 80, 0).perform()
    visitor.click('#gallery button:nth-of-type(2)')
    visitor.see('#slider', lambda found: 'b.png' in found.text)


def test_strength_by_class(visitor, photos):
    visitor.drop(photos[0])
    visitor.click('#classes button')
    visitor.click('#find')
    visitor.see('#map img')
    for field in visitor.driver.find_elements(By.CSS_SELECTOR, '.class input[type=number]') or [
            visitor.see('.class input[type=number]')]:
        field.send_keys(Keys.CONTROL, 'a')
        field.send_keys('0', Keys.TAB)
    visitor.click('#enhance')
    visitor.see('#table', lambda found: 'a.jpg' in found.text)
    before, after = visitor.picture('#slider img:nth-of-type(1)'), visitor.picture('#slider img:nth-of-type(2)')
    # Only classes with less than a hundredth of the photo are enhanced.
    assert np.abs(before - after).mean() < 3
