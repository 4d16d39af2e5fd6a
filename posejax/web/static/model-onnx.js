// The net in this browser: onnxruntime-web runs the exported graph, and no picture leaves the machine.

import { CONVENTIONS, cropAround, clipped, personBox, placement, toPicture, wholePicture } from './geometry.js';
import { RESCORINGS } from './scores.js';

// At a picture: the whole of it, then the box around who was found, as posejax/infer/predictor.py does.
const LOOKS = 3;

export async function load(config) {
  if (config.kind !== 'keypoints') {
    throw new Error(`This page runs nets of the kind 'keypoints', not '${config.kind}'.`);
  }
  const { view } = config;
  if (!(view.convention in CONVENTIONS)) {
    throw new Error(`This page knows no crops of the convention '${view.convention}'.`);
  }
  const rescore = RESCORINGS[config.rescoring];
  if (!rescore) throw new Error(`This page knows no scores by the rule '${config.rescoring}'.`);
  const ort = await import('./ort/ort.wasm.bundle.min.mjs');
  ort.env.wasm.numThreads = 1; // more need headers that a static host seldom sends
  const session = await ort.InferenceSession.create(config.model, { executionProviders: ['wasm'] });
  const [H, W] = view.input;
  const info = config.info;
  const canvas = document.createElement('canvas');
  canvas.width = W;
  canvas.height = H;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let followed = null; // where the last frame's person was

  async function predict(source, hw, box) {
    const crop = cropAround(box, view);
    context.fillStyle = 'black';
    context.fillRect(0, 0, W, H);
    context.imageSmoothingQuality = 'low'; // bilinear, as the crops are that nets are trained on
    context.drawImage(source, ...placement(crop, hw));
    const { data } = context.getImageData(0, 0, W, H);
    const rgb = new Uint8Array(3 * H * W);
    for (let i = 0, j = 0; j < rgb.length; i += 4, j += 3) {
      rgb[j] = data[i];
      rgb[j + 1] = data[i + 1];
      rgb[j + 2] = data[i + 2];
    }
    const { keypoints, scores } = await session.run({ images: new ort.Tensor('uint8', rgb, [1, H, W, 3]) });
    const found = info.keypoints.map((name, k) => {
      const [x, y] = toPicture(crop, [keypoints.data[2 * k], keypoints.data[2 * k + 1]]);
      const score = Math.min(Math.max(scores.data[k], 0), 1);
      return { name, x, y, score, visible: score >= info.threshold };
    });
    const score = rescore(found.map((k) => k.score));
    const instance = { label: info.class_names[0], score, box, keypoints: found };
    return { height: hw[0], width: hw[1], instances: [instance] };
  }

  return {
    info,
    where: 'Everything is computed in this browser: no picture leaves this machine.',

    /** Predict a picture file, of which `picture` is the decoded form. */
    async predictFile(file, picture) {
      if (!picture) throw new Error('This browser cannot decode the file; save it as JPEG or PNG.');
      const hw = [picture.height, picture.width];
      let result = await predict(picture, hw, wholePicture(hw));
      for (let look = 1; look < LOOKS; look++) {
        const sure = result.instances[0].keypoints.filter((k) => k.visible);
        if (sure.length < 3) break;
        result = await predict(picture, hw, clipped(personBox(sure.map((k) => [k.x, k.y])), hw));
      }
      return { name: file.name, ...result };
    },

    /** Predict a frame of a video: around the last frame's person, or all of it. */
    async predictFrame(video) {
      const hw = [video.videoHeight, video.videoWidth];
      const result = await predict(video, hw, followed ?? wholePicture(hw));
      const [person] = result.instances;
      const sure = person.keypoints.filter((k) => k.score >= info.threshold);
      const follow = person.score >= info.threshold && sure.length > 1;
      followed = follow ? personBox(sure.map((k) => [k.x, k.y])) : null;
      return result;
    },

    /** Forget the last frame. */
    reset() {
      followed = null;
    },
  };
}
