// The net behind the server that sent this page.

const PREDICT = 'api/v1/predict';
const LIVE_SIDE = 640; // longer side of a live frame in pixels; nets look at less
const LIVE_QUALITY = 0.85;

export async function load() {
  const response = await fetch('api/v1/model');
  if (!response.ok) throw new Error(await problem(response));
  const info = await response.json();
  const frame = document.createElement('canvas');

  return {
    info,
    where: 'Pictures go to the server you opened this page from, which keeps nothing.',

    /** Predict a picture file; `picture` is for nets that run here. */
    async predictFile(file) {
      if (file.size > info.limits.request_bytes) {
        const megabytes = (bytes) => (bytes / 2 ** 20).toFixed(0);
        throw new Error(
          `The file has ${megabytes(file.size)} MB, more than the ${megabytes(info.limits.request_bytes)} allowed.`,
        );
      }
      const form = new FormData();
      form.append('image', file, file.name);
      return send(form);
    },

    /** Predict a frame of a video; `reset` is for nets that remember the last one. */
    async predictFrame(video) {
      const scale = Math.min(1, LIVE_SIDE / Math.max(video.videoWidth, video.videoHeight));
      frame.width = Math.round(video.videoWidth * scale);
      frame.height = Math.round(video.videoHeight * scale);
      frame.getContext('2d').drawImage(video, 0, 0, frame.width, frame.height);
      const blob = await new Promise((done) => frame.toBlob(done, 'image/jpeg', LIVE_QUALITY));
      return send(blob);
    },

    reset() {},
  };
}

async function send(body) {
  let response;
  try {
    response = await fetch(PREDICT, { method: 'POST', body });
  } catch {
    throw new Error('The server does not answer; is it still running?');
  }
  if (response.status !== 422 && !response.ok) throw new Error(await problem(response));
  const [result] = (await response.json()).results;
  if (result.error) throw new Error(result.error);
  return result;
}

async function problem(response) {
  try {
    return (await response.json()).error;
  } catch {
    return `The server answered ${response.status}.`;
  }
}
