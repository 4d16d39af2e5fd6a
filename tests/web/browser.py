"""A headless Chromium, driven by the DevTools protocol over a pipe, with the standard library alone.

The protocol: https://chromedevtools.github.io/devtools-protocol/. Over a pipe, a message is JSON and
ends in a zero byte; the browser reads file 3 and writes file 4.
"""

import base64
import contextlib
import json
import os
import queue
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable')
_SECONDS = 30


def find() -> str:
  """Return a browser's program, or skip the test."""
  for name in _NAMES:
    path = shutil.which(name)
    if path:
      return path
  pytest.skip(f'no browser: none of {", ".join(_NAMES)} is installed')


class Browser:
  """A running browser; a context manager that ends it.

  Args:
    flags: of the command line, beside those that every test needs.
  """

  def __init__(self, *flags: str):
    self._flags = flags
    self._answers: dict[int, queue.Queue] = {}
    self._pages: dict[str, Page] = {}
    self._number = 0

  def __enter__(self) -> 'Browser':
    program = find()
    with contextlib.ExitStack() as stack:
      # The browser may still write while it ends.
      profile = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
      to_browser, self._write = os.pipe()
      self._read, from_browser = os.pipe()
      command = [program, '--headless=new', '--remote-debugging-pipe', f'--user-data-dir={profile}']
      command += ['--no-first-run', '--disable-gpu', '--disable-dev-shm-usage', '--mute-audio']
      if os.getuid() == 0:
        command.append('--no-sandbox')  # which does not work for root
      # The shell, because subprocess cannot give files other numbers.
      script = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
      self._process = subprocess.Popen(
        ['bash', '-c', script, 'bash', *command, *self._flags, 'about:blank'],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
      )
      os.close(to_browser)
      os.close(from_browser)
      stack.callback(self._end)
      threading.Thread(target=self._listen, daemon=True).start()
      self.call('Browser.getVersion')
      self._stack = stack.pop_all()
    return self

  def __exit__(self, *_):
    self._stack.close()

  def _end(self):
    os.close(self._write)
    self._process.kill()
    self._process.wait()

  def _listen(self):
    with os.fdopen(self._read, 'rb') as stream:
      rest = b''
      while data := stream.raw.read(2**16):
        *messages, rest = (rest + data).split(b'\0')
        for message in map(json.loads, messages):
          if 'id' in message:
            self._answers[message['id']].put(message)
          elif message.get('sessionId') in self._pages:
            self._pages[message['sessionId']].note(message)

  def call(self, method: str, session: str | None = None, **parameters) -> dict:
    """Call a method of the protocol and return its result."""
    self._number += 1
    number = self._number
    self._answers[number] = queue.Queue()
    message = {'id': number, 'method': method, 'params': parameters}
    message |= {'sessionId': session} if session else {}
    data = json.dumps(message).encode() + b'\0'
    while data:
      data = data[os.write(self._write, data) :]
    answer = self._answers[number].get(timeout=_SECONDS)
    del self._answers[number]
    if 'error' in answer:
      raise RuntimeError(f'{method}: {answer["error"]}')
    return answer['result']

  def open(self, url: str, hw: tuple[int, int] = (800, 1280), dark: bool = False) -> 'Page':
    """Open a page in a window of `hw` CSS pixels; narrow ones are phones."""
    target = self.call('Target.createTarget', url='about:blank')['targetId']
    session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
    page = self._pages[session] = Page(self, session)
    for domain in ('Page', 'Runtime', 'Log', 'DOM', 'Accessibility'):
      page.call(f'{domain}.enable')
    phone = hw[1] < 600
    page.call(
      'Emulation.setDeviceMetricsOverride',
      height=hw[0],
      width=hw[1],
      deviceScaleFactor=2 if phone else 1,
      mobile=phone,
    )
    scheme = {'name': 'prefers-color-scheme', 'value': 'dark' if dark else 'light'}
    page.call('Emulation.setEmulatedMedia', features=[scheme])
    page.call('Page.navigate', url=url)
    page.wait_for(f'location.href.startsWith({json.dumps(url)}) && document.readyState=="complete"')
    return page


class Page:
  """A tab. `problems` are exceptions and what the console calls an error."""

  def __init__(self, browser: Browser, session: str):
    self._browser = browser
    self._session = session
    self.problems: list[str] = []

  def note(self, message: dict) -> None:
    """Take an event."""
    parameters = message['params']
    if message['method'] == 'Runtime.exceptionThrown':
      self.problems.append(json.dumps(parameters['exceptionDetails']))
    elif message['method'] == 'Log.entryAdded' and parameters['entry']['level'] == 'error':
      self.problems.append(parameters['entry']['text'] + ' ' + parameters['entry'].get('url', ''))

  def call(self, method: str, **parameters) -> dict:
    """Call a method of the protocol."""
    return self._browser.call(method, self._session, **parameters)

  def evaluate(self, script: str):
    """Return the value of a JavaScript expression; promises are waited for."""
    answer = self.call(
      'Runtime.evaluate', expression=script, awaitPromise=True, returnByValue=True, userGesture=True
    )
    if 'exceptionDetails' in answer:
      raise RuntimeError(f'{script}: {json.dumps(answer["exceptionDetails"])}')
    return answer['result'].get('value')

  def wait_for(self, script: str, seconds: float = _SECONDS):
    """Wait until an expression is true and return its value."""
    end = time.monotonic() + seconds
    while not (value := self.evaluate(script)):
      assert time.monotonic() < end, f'never true: {script}; {self.problems}'
      time.sleep(0.05)
    return value

  def text(self, selector: str) -> str:
    """Return what an element says."""
    return self.evaluate(f'document.querySelector({json.dumps(selector)}).textContent')

  def click(self, selector: str) -> None:
    """Click the middle of an element with the mouse."""
    find_middle = (
      '(() => { const e = document.querySelector(%s); e.scrollIntoView({block: "center"});'
      ' const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()'
    )
    x, y = self.evaluate(find_middle % json.dumps(selector))
    for kind in ('mousePressed', 'mouseReleased'):
      self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, button='left', clickCount=1)

  def press(self, key: str, code: int, text: str = '') -> None:
    """Press a key, by its DOM name and its Windows key code."""
    down = {'type': 'keyDown', 'key': key, 'code': key, 'windowsVirtualKeyCode': code}
    self.call('Input.dispatchKeyEvent', **down, **({'text': text} if text else {}))
    self.call('Input.dispatchKeyEvent', **down | {'type': 'keyUp'})

  def set_files(self, selector: str, paths: list[str]) -> None:
    """Choose files in an input."""
    root = self.call('DOM.getDocument')['root']['nodeId']
    node = self.call('DOM.querySelector', nodeId=root, selector=selector)['nodeId']
    self.call('DOM.setFileInputFiles', files=paths, nodeId=node)

  def screenshot(self, path: str) -> None:
    """Write what the window shows as PNG."""
    data = self.call('Page.captureScreenshot', format='png')['data']
    with open(path, 'wb') as file:
      file.write(base64.b64decode(data))
