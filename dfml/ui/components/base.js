// What all components share: nodes, colours of the theme, axes, words for numbers.
const SVG = 'http://www.w3.org/2000/svg';
const set = (node, attributes) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }
  return node;
};
const make = (name, attributes = {}, ...children) => { const made = set(document.createElement(name), attributes); made.append(...children); return made; };
const shape = (name, attributes = {}, ...children) => { const made = set(document.createElementNS(SVG, name), attributes); made.append(...children); return made; };
// Text from outside goes through here alone: as text, never as markup.
const say = (node, text) => { if (node.textContent !== text) node.textContent = text; return node; };
// What was made once for all who look at it comes as bytes.
const told = (data) => (data instanceof Uint8Array ? JSON.parse(new TextDecoder().decode(data)) : data);
// As many children as needed: made once, then changed in place.
const fit = (parent, count, create) => {
  while (parent.children.length > count) parent.lastChild.remove();
  while (parent.children.length < count) parent.append(create(parent.children.length));
  return [...parent.children];
};
const themed = (root, name) => getComputedStyle(root.host || root).getPropertyValue(name).trim();
const coloursOf = (root) => themed(root, '--st-chart-categorical-colors').match(/#[0-9a-f]{3,8}|rgba?\([^)]*\)/gi) || ['#0072b2', '#cf3500'];
const still = () => matchMedia('(prefers-reduced-motion: reduce)').matches;
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

const grouped = (text) => text.replace(/^(-?\d{5,})/, (digits) => digits.replace(/\B(?=(\d{3})+$)/g, '\u202f'));
const worded = (value, percent) => {
  if (percent) return `${(100 * value).toFixed(1)}\u00a0%`;
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e7)) return value.toExponential(2);
  return grouped(String(size >= 1000 ? Math.round(value) : Number(value.toPrecision(3))));
};
const ticksOf = (low, high, count, least = 0) => {
  const rough = (high - low) / Math.max(1, count), power = 10 ** Math.floor(Math.log10(rough));
  const step = Math.max(least, power * ([1, 2, 5].find((times) => times * power >= rough * 0.999) || 10));
  const found = [];
  for (let i = Math.ceil(low / step - 1e-6); i * step <= high + step * 1e-6; i++) found.push(i * step);
  return { step, found };
};
const tickWords = (value, step, percent) => {
  const times = percent ? 100 : 1, digits = clamp(-Math.floor(Math.log10(step * times) + 1e-9), 0, 8);
  const size = Math.abs(value);
  const text = size && (size < 1e-4 || size >= 1e7) ? String(Number(value.toPrecision(3))) : grouped((value * times).toFixed(digits));
  return percent ? `${text}\u00a0%` : text;
};
const logTicks = (low, high, count) => {
  const found = [], decades = Math.log10(high / low), each = decades <= 2 ? [1, 2, 5] : [1], skip = Math.max(1, Math.round(decades / count));
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) {
    if (power % skip === 0) for (const times of each) found.push(times * 10 ** power);
  }
  const inside = found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  return inside.length > 1 ? inside : ticksOf(low, high, count).found.filter((value) => value > 0);
};
