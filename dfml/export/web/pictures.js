// Reads pictures that somebody chose, dropped or took: what the network sees of each, and a small view of it.
import { fit } from "./resize.js";

const MOST_PIXELS = 25e6;
const MOST_BYTES = 20e6;
const VIEW = 144;

// Decodes a file as it is stored, upright and without a change of colours; an Error says what is wrong with it.
async function decoded(file) {
  if (file.size > MOST_BYTES) throw new Error(`${Math.round(file.size / 1e6)} MB; at most 20 MB are read`);
  try {
    return await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    throw new Error("no picture that this browser can read");
  }
}

function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  return canvas;
}

function viewOf(source) {
  const side = Math.min(source.width, source.height);
  const canvas = canvasOf(VIEW, VIEW);
  const context = canvas.getContext("2d");
  context.fillStyle = "#fff";
  context.fillRect(0, 0, VIEW, VIEW);
  context.imageSmoothingQuality = "high";
  context.imageSmoothingEnabled = side > VIEW / 2;
  context.drawImage(source, (source.width - side) / 2, (source.height - side) / 2, side, side, 0, 0, VIEW, VIEW);
  return canvas;
}

// Returns {view, values}: a canvas, and float32 [channels * size * size] in [0, 1] as the network takes it.
export function pictureOf(source, { size, channels }) {
  const { width, height } = source;
  if (width * height > MOST_PIXELS) throw new Error(`${width} x ${height} pixels; at most 25 million are read`);
  const canvas = canvasOf(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, 0, 0);
  const bytes = fit(context.getImageData(0, 0, width, height), size, channels);
  const values = new Float32Array(bytes.length);
  const area = size * size;
  for (let at = 0; at < area; at += 1) {
    for (let channel = 0; channel < channels; channel += 1) {
      values[channel * area + at] = bytes[at * channels + channel] / 255;
    }
  }
  return { view: viewOf(source), values };
}

// The same of a file.
export async function readPicture(file, network) {
  const bitmap = await decoded(file);
  try {
    return pictureOf(bitmap, network);
  } finally {
    bitmap.close();
  }
}
