// Starts the page: reads config.json, loads the net, joins the controls.

import { showLegend } from './draw.js';
import { startLive } from './live.js';
import { startUpload } from './upload.js';

const element = (id) => document.getElementById(id);

async function loadModel() {
  const config = await (await fetch('config.json')).json();
  const module = config.mode === 'onnx' ? './model-onnx.js' : './model-server.js';
  return (await import(module)).load(config);
}

function startTabs() {
  const tabs = [...document.querySelectorAll('[role=tab]')];
  const select = (chosen, focus) => {
    for (const tab of tabs) {
      const on = tab === chosen;
      tab.setAttribute('aria-selected', on);
      tab.tabIndex = on ? 0 : -1;
      const panel = element(tab.getAttribute('aria-controls'));
      if (!on && !panel.hidden) panel.dispatchEvent(new Event('leave'));
      panel.hidden = !on;
    }
    if (focus) chosen.focus();
  };
  tabs.forEach((tab, i) => {
    tab.addEventListener('click', () => select(tab, false));
    tab.addEventListener('keydown', ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (step) select(tabs[(i + step + tabs.length) % tabs.length], true);
    });
  });
  return { showPictures: () => select(tabs[0], false) };
}

function startConfidence(threshold) {
  const [input, output] = [element('confidence'), element('confidence-value')];
  const listeners = [];
  const show = () => {
    const text = `${Math.round(100 * input.value)} %`;
    output.textContent = text;
    input.setAttribute('aria-valuetext', text);
  };
  input.value = threshold;
  show();
  input.addEventListener('input', () => {
    show();
    for (const listener of listeners) listener();
  });
  return {
    confidence: () => Number(input.value),
    onChange: (listener) => listeners.push(listener),
  };
}

async function start() {
  const tabs = startTabs();
  try {
    const model = await loadModel();
    const { info } = model;
    const found = info.keypoints.length ? `${info.keypoints.length} keypoints` : `${info.class_names.length} classes`;
    element('model').textContent = `${info.name} · ${found}`;
    for (const place of document.querySelectorAll('[data-where]')) place.textContent = model.where;
    showLegend(element('legend'), info);
    const settings = { ...startConfidence(info.threshold), ...tabs };
    startUpload(model, settings);
    startLive(model, settings);
    document.documentElement.dataset.ready = '';
  } catch (error) {
    element('model').textContent = '';
    element('fatal').textContent = `The model could not be loaded: ${error.message}`;
    element('fatal').hidden = false;
  }
}

start();
