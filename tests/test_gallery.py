"""docs/gallery.md: its pictures are drawn by its script, and are there."""

import pathlib
import re
import runpy

import cv2
import pytest

DOCS = pathlib.Path(__file__).parents[1] / 'docs'
SHOWN = re.findall(r'!\[.+\]\((.+)\)', (DOCS / 'gallery.md').read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def drawn(tiny_run, tmp_path_factory):
  out = tmp_path_factory.mktemp('gallery')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr('sys.argv', ['gallery.py', f'--workdir={tiny_run}', f'--out={out}'])
    runpy.run_path(str(DOCS / 'snippets' / 'gallery.py'), run_name='__main__')
  return {path.name: cv2.imread(str(path)) for path in out.iterdir()}


def test_every_part_is_drawn(drawn):
  sheet = drawn.pop('sheet.jpg')
  for name, picture in drawn.items():
    assert picture.shape[1] == 720, name
    assert picture.std() > 20, name
  assert sheet.shape[0] > sum(picture.shape[0] for picture in drawn.values())


def test_the_page_shows_what_the_script_draws(drawn):
  own = [path for path in SHOWN if path.startswith('images/gallery/')]
  assert len(own) == 5
  assert {pathlib.Path(path).name for path in own} <= set(drawn)
  assert {path.name for path in (DOCS / 'images' / 'gallery').iterdir()} <= set(drawn)


def test_the_page_is_small():
  assert sum((DOCS / path).stat().st_size for path in SHOWN if 'gallery/' in path) < 300_000
  for path in SHOWN:
    assert cv2.imread(str(DOCS / path)) is not None, path
