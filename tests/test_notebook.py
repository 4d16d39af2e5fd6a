"""docs/first_skeleton.ipynb: every cell is run in its order, by a kernel, with few steps of training."""

import base64
import os
import pathlib

import cv2
import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PATH = ROOT / 'docs' / 'first_skeleton.ipynb'
STEPS = 'STEPS = 40'

for _name in ('av', 'ipykernel', 'nbclient', 'onnx', 'onnxruntime'):
  pytest.importorskip(_name, reason="needs pip install 'posejax[test]'")


def test_the_notebook(tmp_path, monkeypatch):
  import nbclient
  import nbformat

  notebook = nbformat.read(PATH, 4)
  nbformat.validate(notebook)
  cells = [cell for cell in notebook.cells if cell.cell_type == 'code']
  assert not any(cell.outputs for cell in cells), 'what cells show is not kept in the file'
  (parameters,) = [cell for cell in cells if 'parameters' in cell.metadata.get('tags', ())]
  parameters.source = STEPS
  monkeypatch.setenv('PYTHONPATH', os.pathsep.join([str(ROOT), os.environ.get('PYTHONPATH', '')]))
  monkeypatch.setenv('TMPDIR', str(tmp_path))
  monkeypatch.setenv('IPYTHONDIR', str(tmp_path))
  # An error in a cell is raised here.
  nbclient.NotebookClient(
    notebook, timeout=300, resources={'metadata': {'path': tmp_path}}
  ).execute()

  shown = [output.data for cell in cells for output in cell.outputs if 'data' in output]
  pictures = [base64.b64decode(data['image/png']) for data in shown if 'image/png' in data]
  # A sheet of people, two of the run, what is found, the film's, and the live view.
  assert len(pictures) == 6
  for data in pictures:
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).std() > 20
  assert any('<video' in data.get('text/html', '') for data in shown)
  text = ''.join(output.get('text', '') for cell in cells for output in cell.outputs)
  assert 'the median pose has' in text
  assert 'frames/s' in text
  assert '0 of 68 keypoints off' in text
