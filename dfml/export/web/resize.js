// Pictures become the network's squares as the program makes them: centre crop, then Pillow's bilinear resize, which
// averages when it shrinks. A canvas resizes otherwise in each browser, so its whole numbers are repeated here: weights
// of 22 bits, and 8 bits again between the two directions.
const BITS = 22;

// For each of `size` outputs along one side: the first input and the whole-number weights of those that it takes.
function weights(length, from, to, size) {
  const scale = Math.fround(to - from) / size;
  const reach = Math.max(scale, 1);
  const rows = [];
  for (let place = 0; place < size; place += 1) {
    const centre = from + (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const end = Math.min(length, Math.trunc(centre + reach + 0.5));
    const row = [];
    for (let at = first; at < end; at += 1) {
      row.push(Math.max(0, 1 - Math.abs((at - centre + 0.5) * (1 / reach))));
    }
    const sum = row.reduce((a, b) => a + b, 0);
    rows.push({ first, row: row.map((value) => Math.trunc(0.5 + (value / sum) * 2 ** BITS)) });
  }
  return rows;
}

const narrowed = (sum) => Math.min(255, sum >> BITS);

// Resizes one direction: `lines` lines, each with its pixels `step` apart and its start `stride` times its number.
function along(source, channels, lines, stride, step, rows, target, targetStride, targetStep) {
  for (let line = 0; line < lines; line += 1) {
    rows.forEach(({ first, row }, place) => {
      for (let channel = 0; channel < channels; channel += 1) {
        let sum = 2 ** (BITS - 1);
        let at = line * stride + first * step + channel;
        for (let i = 0; i < row.length; i += 1, at += step) sum += source[at] * row[i];
        target[line * targetStride + place * targetStep + channel] = narrowed(sum);
      }
    });
  }
}

// Red, green and blue (or grey) of a canvas's pixels, with transparency laid over white.
function opaque({ data, width, height }, channels) {
  const out = new Uint8Array(width * height * channels);
  for (let at = 0, to = 0; at < data.length; at += 4, to += channels) {
    const cover = data[at + 3];
    let [red, green, blue] = [data[at], data[at + 1], data[at + 2]];
    if (cover < 255) {
      [red, green, blue] = [red, green, blue].map((value) => Math.round((value * cover + 255 * (255 - cover)) / 255));
    }
    if (channels === 1) {
      out[to] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    } else {
      out[to] = red;
      out[to + 1] = green;
      out[to + 2] = blue;
    }
  }
  return out;
}

// Turns an ImageData of any shape into size x size x channels bytes.
export function fit(image, size, channels) {
  const { width, height } = image;
  const pixels = opaque(image, channels);
  if (width === size && height === size) return pixels;
  const side = Math.min(width, height);
  const [left, top] = [(width - side) / 2, (height - side) / 2].map(Math.fround);
  const across = weights(width, left, Math.fround(left + side), size);
  const down = weights(height, top, Math.fround(top + side), size);
  const narrow = new Uint8Array(height * size * channels);
  along(pixels, channels, height, width * channels, channels, across, narrow, size * channels, channels);
  const out = new Uint8Array(size * size * channels);
  along(narrow, channels, size, channels, size * channels, down, out, channels, size * channels);
  return out;
}
