// The camera: the newest frame goes to the net, and the next only when its answer is there.

import { drawInstances } from './draw.js';
import { contain } from './geometry.js';
import { describe } from './words.js';

const REPORT_MILLISECONDS = 1000; // between announcements, so that a screen reader can keep up
const SMOOTHING = 0.15; // of latency and frame rate shown

export function startLive(model, settings) {
  const element = (id) => document.getElementById(id);
  const [video, overlay, stage] = ['video', 'overlay', 'stage'].map(element);
  const [start, camera, mirror] = ['start', 'camera', 'mirror'].map(element);
  const [status, problem, latency, fps] = ['live-status', 'live-problem', 'latency', 'fps'].map(element);
  let stream = null;
  let turn = 0; // of starting and stopping; whatever belongs to an earlier one ends
  let last = null;

  start.addEventListener('click', () => (stream ? stop() : begin()));
  camera.addEventListener('change', () => stream && begin());
  // A camera that nobody sees the picture of is off.
  element('live').addEventListener('leave', stop);
  mirror.addEventListener('change', () => {
    stage.classList.toggle('mirrored', mirror.checked);
    draw();
  });
  stage.classList.toggle('mirrored', mirror.checked);
  settings.onChange(draw);
  new ResizeObserver(draw).observe(stage);

  async function begin() {
    stop();
    const mine = ++turn;
    problem.hidden = true;
    if (!navigator.mediaDevices) {
      return fail('Browsers give the camera to HTTPS and localhost only; start the server with --cert and --key.');
    }
    start.disabled = true;
    try {
      const wanted = camera.value ? { deviceId: { exact: camera.value } } : { facingMode: 'user' };
      const size = { width: { ideal: 640 }, height: { ideal: 480 } };
      const opened = await navigator.mediaDevices.getUserMedia({ video: { ...wanted, ...size }, audio: false });
      if (mine !== turn) return void opened.getTracks().forEach((track) => track.stop());
      stream = opened;
      const [track] = stream.getVideoTracks();
      track.addEventListener('ended', () => {
        if (mine !== turn) return;
        stop();
        fail('The camera is gone; plug it in and start again.');
      });
      // A camera that looks away from its owner must not be mirrored.
      if (track.getSettings().facingMode === 'environment') mirror.checked = false;
      stage.classList.toggle('mirrored', mirror.checked);
      video.srcObject = stream;
      await video.play();
      stage.classList.add('on');
      stage.style.aspectRatio = `${video.videoWidth} / ${video.videoHeight}`;
      start.textContent = 'Stop the camera';
      await listCameras(track.getSettings().deviceId);
      model.reset();
      run(mine);
    } catch (error) {
      if (mine === turn) {
        stop();
        fail(reason(error));
      }
    } finally {
      start.disabled = false;
    }
  }

  function stop() {
    turn += 1;
    stream?.getTracks().forEach((track) => track.stop());
    stream = last = video.srcObject = null;
    stage.classList.remove('on');
    start.textContent = 'Start the camera';
    status.textContent = '';
    latency.textContent = fps.textContent = '–';
    draw();
  }

  function fail(message) {
    problem.textContent = message;
    problem.hidden = false;
  }

  async function listCameras(current) {
    const devices = (await navigator.mediaDevices.enumerateDevices()).filter((d) => d.kind === 'videoinput');
    camera.replaceChildren(...devices.map((device, i) => {
      const option = new Option(device.label || `Camera ${i + 1}`, device.deviceId);
      option.selected = device.deviceId === current;
      return option;
    }));
  }

  async function run(mine) {
    let [shownLatency, shownSeconds, before, reported] = [null, null, null, 0];
    const smooth = (old, value) => (old === null ? value : old + SMOOTHING * (value - old));
    while (mine === turn) {
      await newFrame(video);
      if (mine !== turn) return;
      const began = performance.now();
      let result;
      try {
        result = await model.predictFrame(video);
        problem.hidden = true;
      } catch (error) {
        if (mine !== turn) return;
        fail(error.message);
        before = null;
        await new Promise((done) => setTimeout(done, 1000));
        continue;
      }
      if (mine !== turn) return;
      const now = performance.now();
      shownLatency = smooth(shownLatency, now - began);
      if (before !== null) shownSeconds = smooth(shownSeconds, (now - before) / 1000);
      before = now;
      last = result;
      draw();
      if (now - reported > REPORT_MILLISECONDS) {
        reported = now;
        latency.textContent = `${shownLatency.toFixed(0)} ms`;
        if (shownSeconds) fps.textContent = (1 / shownSeconds).toFixed(1);
        const words = `Found ${describe(model.info, result.instances, settings.confidence())}.`;
        if (status.textContent !== words) status.textContent = words;
      }
    }
  }

  function draw() {
    const ratio = window.devicePixelRatio || 1;
    const { clientWidth, clientHeight } = stage;
    overlay.width = Math.round(clientWidth * ratio);
    overlay.height = Math.round(clientHeight * ratio);
    if (!last) return;
    const place = contain([last.height, last.width], [overlay.height, overlay.width]);
    place.mirror = mirror.checked ? last.width : 0;
    place.size = Math.max(last.width, last.height) * place.scale;
    const context = overlay.getContext('2d');
    drawInstances(context, model.info, last.instances, settings.confidence(), place);
  }
}

/** Wait for a frame that was not shown before; a hidden page waits until it is seen again. */
function newFrame(video) {
  return new Promise((done) => {
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(done);
    else requestAnimationFrame(done);
  });
}

function reason(error) {
  const reasons = {
    NotAllowedError: 'The camera was not allowed; allow it in the browser and start again.',
    NotFoundError: 'There is no camera; plug one in and start again.',
    NotReadableError: 'Another program uses the camera; close it and start again.',
    OverconstrainedError: 'That camera is gone; choose another.',
  };
  return reasons[error.name] ?? error.message;
}
