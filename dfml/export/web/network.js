// The meta-model in this tab: features from the graph, then the nearest class centroid.
import * as ort from "./vendor/ort.wasm.bundle.min.mjs";

const AT_ONCE = 50;

export async function loadNetwork() {
  const answer = await fetch("model.json");
  if (!answer.ok) throw new Error(`model.json: ${answer.status}`);
  const about = await answer.json();
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL("vendor/ort-wasm-simd-threaded.wasm", import.meta.url).href };
  const session = await ort.InferenceSession.create("model.onnx", { executionProviders: ["wasm"] });
  return { ...about, session };
}

function stacked(pictures, { size, channels }) {
  const values = new Float32Array(pictures.length * channels * size * size);
  pictures.forEach((picture, place) => values.set(picture.values, place * picture.values.length));
  return new ort.Tensor("float32", values, [pictures.length, channels, size, size]);
}

const rowsOf = (tensor) => {
  const [count, width] = tensor.dims;
  return Array.from({ length: count }, (_, row) => tensor.data.subarray(row * width, (row + 1) * width));
};

function meanOf(rows) {
  const mean = new Float64Array(rows[0].length);
  for (const row of rows) row.forEach((value, at) => { mean[at] += value / rows.length; });
  return mean;
}

const distance = (a, b) => a.reduce((sum, value, at) => sum + (value - b[at]) ** 2, 0);

// Probabilities of minus the squared distances.
function softmax(distances) {
  const least = Math.min(...distances);
  const parts = distances.map((value) => Math.exp(least - value));
  const sum = parts.reduce((a, b) => a + b, 0);
  return parts.map((part) => part / sum);
}

// Takes the pictures of each class (none of them empty) and the queries; returns a list of probabilities for each.
// Queries are normalised with the support set's statistics, so they may come in any number.
export async function classify(network, classes, queries) {
  const support = stacked(classes.flat(), network);
  const found = [];
  for (let at = 0; at < queries.length; at += AT_ONCE) {
    const query = stacked(queries.slice(at, at + AT_ONCE), network);
    const out = await network.session.run({ support, query });
    const known = rowsOf(out.support_features);
    let taken = 0;
    const means = classes.map((pictures) => meanOf(known.slice(taken, (taken += pictures.length))));
    for (const row of rowsOf(out.query_features)) {
      found.push(softmax(means.map((mean) => distance(mean, row))));
    }
  }
  return found;
}
