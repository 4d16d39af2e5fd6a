// Pictures by button, drop or paste; each becomes a card with its skeletons and its downloads.

import { drawInstances } from './draw.js';
import { describe, describeKeypoints } from './words.js';

const AT_ONCE = 2; // requests; the server batches, and cards fill one after the other
const SHOWN_SIDE = 1600; // longer side of the picture on the page
const SAVED_PIXELS = 16e6; // phones refuse larger canvases

export function startUpload(model, settings) {
  const element = (id) => document.getElementById(id);
  const [input, drop, list, status] = ['files', 'drop', 'results', 'pictures-status'].map(element);
  const clear = element('clear');
  const cards = new Set();
  const waiting = [];
  let active = 0;

  element('choose').addEventListener('click', () => input.click());
  input.addEventListener('change', () => {
    add([...input.files]);
    input.value = ''; // so that the same file can be chosen again
  });
  // Anywhere on the page: a file that misses the field would replace the page.
  for (const kind of ['dragover', 'drop']) {
    document.addEventListener(kind, (event) => event.preventDefault());
  }
  document.addEventListener('dragover', () => drop.classList.add('over'));
  document.addEventListener('dragleave', (event) => {
    if (!event.relatedTarget) drop.classList.remove('over');
  });
  document.addEventListener('drop', (event) => {
    drop.classList.remove('over');
    add([...event.dataTransfer.files]);
  });
  document.addEventListener('paste', (event) => add([...event.clipboardData.files]));
  clear.addEventListener('click', () => {
    for (const card of cards) card.remove();
    cards.clear();
    waiting.length = 0;
    report();
    element('choose').focus();
  });
  settings.onChange(() => {
    for (const card of cards) card.draw();
    report();
  });

  function add(files) {
    if (!files.length) return;
    settings.showPictures();
    for (const file of files) {
      const card = makeCard(model, settings, file);
      cards.add(card);
      list.append(card.element);
      waiting.push(card);
    }
    report();
    next();
  }

  function next() {
    while (active < AT_ONCE && waiting.length) {
      active += 1;
      waiting.shift().run().finally(() => {
        active -= 1;
        report();
        next();
      });
    }
  }

  function report() {
    clear.hidden = !cards.size;
    const all = [...cards];
    const busy = all.filter((card) => card.isWaiting()).length;
    if (!all.length) status.textContent = '';
    else if (busy) status.textContent = `Looking at ${count(busy, 'picture')}…`;
    else {
      const instances = all.flatMap((card) => card.instances());
      const failed = all.filter((card) => card.hasFailed()).length;
      status.textContent = `Found ${describe(model.info, instances, settings.confidence())} on `
        + `${count(all.length - failed, 'picture')}${failed ? `; ${failed} could not be read` : ''}.`;
    }
  }
}

function count(number, noun) {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function makeCard(model, settings, file) {
  const name = file.name || 'pasted picture';
  const canvas = make('canvas', { width: 16, height: 9 });
  canvas.setAttribute('role', 'img');
  const title = make('h2', { textContent: name });
  const words = make('p', { className: 'quiet', textContent: 'Looking…' });
  const text = make('div', { className: 'words' }, title, words);
  const buttons = make('div', { className: 'buttons' });
  const element = make('li', { className: 'card waiting' }, canvas, text, buttons);
  let [picture, result, failed, removed] = [null, null, false, false];

  function draw() {
    if (!result) return;
    const threshold = settings.confidence();
    words.textContent = [
      describe(model.info, result.instances, threshold),
      describeKeypoints(result.instances, threshold),
      `${result.width}×${result.height}`,
    ].filter(Boolean).join(' · ');
    canvas.setAttribute('aria-label', `${name}: ${describe(model.info, result.instances, threshold)}`);
    paint(canvas, Math.min(1, SHOWN_SIDE / Math.max(result.width, result.height)));
  }

  function paint(target, scale) {
    target.width = Math.round(result.width * scale);
    target.height = Math.round(result.height * scale);
    const context = target.getContext('2d');
    if (picture) context.drawImage(picture, 0, 0, target.width, target.height);
    const place = { scale: target.width / result.width, x: 0, y: 0, size: Math.max(target.width, target.height) };
    drawInstances(context, model.info, result.instances, settings.confidence(), place);
  }

  function fail(message) {
    failed = true;
    words.remove();
    canvas.hidden = true;
    text.append(make('p', { className: 'problem', textContent: message }));
  }

  function addDownloads() {
    const stem = name.replace(/\.[^.]*$/, '');
    const png = make('button', { type: 'button', textContent: 'Save picture' });
    const json = make('button', { type: 'button', textContent: 'Save JSON' });
    png.setAttribute('aria-label', `Save picture ${name} with its skeletons`);
    json.setAttribute('aria-label', `Save JSON of what was found on ${name}`);
    png.addEventListener('click', () => {
      const target = document.createElement('canvas');
      paint(target, Math.min(1, Math.sqrt(SAVED_PIXELS / (result.width * result.height))));
      target.toBlob((blob) => save(blob, `${stem}-pose.png`), 'image/png');
    });
    json.addEventListener('click', () => {
      const body = JSON.stringify({ model: model.info.name, ...result, name }, null, 2);
      save(new Blob([body], { type: 'application/json' }), `${stem}-pose.json`);
    });
    buttons.append(png, json);
  }

  async function run() {
    try {
      // Upright, as the server turns it too. Null where only the server can decode it.
      picture = await createImageBitmap(file, { imageOrientation: 'from-image' }).catch(() => null);
      result = await model.predictFile(file, picture);
      addDownloads();
      draw();
    } catch (error) {
      fail(error.message);
    }
    element.classList.remove('waiting');
    if (removed) picture?.close();
  }

  return {
    element,
    run,
    draw,
    remove() {
      removed = true;
      element.remove();
      if (result) picture?.close(); // its memory is not the garbage collector's
    },
    isWaiting: () => !result && !failed,
    hasFailed: () => failed,
    instances: () => result?.instances ?? [],
  };
}

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  const link = make('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
