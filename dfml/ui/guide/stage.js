// A stage of panels that goes through states. `data.scenes` have panels and states; a state changes what its panels show.

class Curves {
  constructor(root, box) { this.chart = new Chart(root, box); }
  show(data) { this.chart.show(data); }
  end() { this.chart.end(); }
}

// Pictures of a sheet: a row of the sheet is a frame.
class Pictures {
  constructor(root, box) { this.grid = make('div', { class: 'pictures', role: 'img' }); box.append(this.grid); }
  show(data) {
    const { grid } = this, { columns, count, rows, frame = 0, sheet, signs = '', words = [] } = data;
    set(grid, { 'aria-label': data.alt });
    set(grid, { class: `pictures${words.length ? ' worded' : ''}` }); grid.style.setProperty('--columns', columns);
    if (this.sheet !== sheet) grid.style.setProperty('--sheet', `url(${this.sheet = sheet})`);
    fit(grid, count, () => make('div', { class: 'tile' }, make('div', { class: 'picture' }), make('i'), make('span'))).forEach((tile, i) => {
      const [picture, sign, word] = tile.children;
      picture.style.backgroundSize = `${count * 100}% ${rows * 100}%`;
      picture.style.backgroundPosition = `${count > 1 ? i / (count - 1) * 100 : 0}% ${rows > 1 ? frame / (rows - 1) * 100 : 0}%`;
      const mark = signs[i] === '1' ? 'right' : signs[i] === '0' ? 'wrong' : '';
      set(tile, { class: `tile ${mark}` });
      say(sign, mark === 'right' ? '\u2713' : mark === 'wrong' ? '\u2715' : '');
      say(word, words[i] || '');
    });
  }
}

// Points that slide when their places change.
class Dots {
  constructor(root, box) {
    this.root = root;
    this.key = make('div', { class: 'key' });
    this.field = make('div', { class: 'field', role: 'img' });
    this.yName = make('span', { class: 'y-name' }); this.xName = make('div', { class: 'x-name' });
    this.left = make('span'); this.middle = make('b'); this.right = make('span'); this.xName.append(this.left, this.middle, this.right);
    this.top = make('span', { class: 'top' }); this.bottom = make('span', { class: 'bottom' });
    this.layer = make('div', { class: 'layer' });
    this.field.append(this.yName, this.top, this.bottom, this.layer);
    box.append(this.key, this.field, this.xName);
  }
  show(data) {
    set(this.field, { 'aria-label': data.alt });
    say(this.yName, data.y); say(this.middle, data.x); say(this.left, data.ends[0]); say(this.right, data.ends[1]);
    say(this.bottom, data.ends[2]); say(this.top, data.ends[3]);
    fit(this.key, data.groups.length, () => make('span', { class: 'entry' }, make('i'), make('span'))).forEach((node, i) => {
      set(node.firstChild, { class: `dot g${i} shown` }); say(node.lastChild, data.groups[i]);
    });
    fit(this.layer, data.points.length, () => make('i', { class: 'dot' })).forEach((node, i) => {
      const { x, y, group, text } = data.points[i];
      node.style.left = `${100 * x}%`; node.style.top = `${100 - 100 * y}%`;
      set(node, { class: `dot g${group < 0 ? 'x' : group}`, title: text });
    });
  }
}

class Bars {
  constructor(root, box) { this.list = make('div', { class: 'bars', role: 'img' }); box.append(this.list); }
  show(data) {
    set(this.list, { 'aria-label': `${data.alt}: ${data.bars.map((bar) => `${bar.name} ${bar.words}`).join(', ')}` });
    fit(this.list, data.bars.length, () => make('div', { class: 'bar' }, make('span'), make('div', { class: 'track' }, make('div', { class: 'fill' }), make('div', { class: 'reach' })), make('b'))).forEach((node, i) => {
      const { name, value, half, words, group = 0 } = data.bars[i], [label, track, number] = node.children;
      const share = (v) => `${100 * clamp((v - data.low) / (data.high - data.low), 0, 1)}%`, zero = clamp(0, data.low, data.high);
      say(label, name); say(number, words);
      const [fill, reach] = track.children;
      fill.style.left = share(Math.min(value, zero)); fill.style.width = `calc(${share(Math.max(value, zero))} - ${share(Math.min(value, zero))})`;
      set(fill, { class: `fill g${group}` });
      reach.style.left = half ? share(value - half) : '0'; reach.style.width = half ? `calc(${share(value + half)} - ${share(value - half)})` : '0';
      set(reach, { hidden: half ? null : '' });
    });
  }
}

// Cells with names that fill; above them a small square for each teacher.
class Cells {
  constructor(root, box) { this.row = make('div', { class: 'teachers', 'aria-hidden': 'true' }); this.grid = make('div', { class: 'cells', role: 'img' }); box.append(this.row, this.grid); }
  show(data) {
    set(this.grid, { 'aria-label': data.alt, lang: 'en' });  // by which long names are hyphenated
    fit(this.row, data.teachers, () => make('i')).forEach((node, i) => set(node, { class: i < data.known ? 'on' : '' }));
    fit(this.grid, data.names.length, () => make('span')).forEach((node, i) => {
      say(node, data.names[i]);
      const times = data.counts[i] || 0;
      set(node, { class: times ? 'on' : '', title: times ? `${data.names[i]}: ${times}` : data.names[i] });
      node.style.setProperty('--depth', `${clamp(22 + 11 * times, 0, 88)}%`);
    });
  }
}

// A square matrix whose rows and columns move to a new order.
class Matrix {
  constructor(root, box) { this.root = root; this.sheet = make('canvas', { class: 'matrix', role: 'img' }); box.append(this.sheet); this.raw = document.createElement('canvas'); }
  show(data) {
    set(this.sheet, { 'aria-label': data.alt });
    const n = data.order.length;
    if (this.values !== data.values) {
      this.values = data.values; this.levels = Uint8Array.from(atob(data.values), (c) => c.charCodeAt(0)); this.places = data.order.slice();
      // The diagonal, where each is like itself, is left out of the scale.
      this.most = this.levels.reduce((most, v, i) => (i % (n + 1) ? Math.max(most, v) : most), 1);
      this.at = []; data.order.forEach((row, place) => { this.at[row] = place; });
    }
    const goal = []; data.order.forEach((row, place) => { goal[row] = place; });
    const from = this.at.slice(), began = performance.now(), length = still() ? 0 : 900;
    cancelAnimationFrame(this.turn);
    const tick = (now) => {
      const t = length ? clamp((now - began) / length, 0, 1) : 1, eased = t * t * (3 - 2 * t);
      this.at = goal.map((place, row) => from[row] + (place - from[row]) * eased);
      this.paint(n, data.bounds && t === 1 ? data.bounds : []);
      if (t < 1) this.turn = requestAnimationFrame(tick);
    };
    tick(began);
  }
  paint(n, bounds) {
    const size = this.sheet.width = this.sheet.height = 400, cell = size / n, g = this.sheet.getContext('2d');
    const dark = themed(this.root, '--st-background-color').match(/[0-9a-f]{2}/gi), low = dark ? dark.map((part) => parseInt(part, 16)) : [255, 255, 255];
    const bright = (themed(this.root, '--st-primary-color').match(/[0-9a-f]{2}/gi) || ['00', '72', 'b2']).map((part) => parseInt(part, 16));
    for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) {
      const t = Math.min(1, this.levels[a * n + b] / this.most);
      g.fillStyle = `rgb(${low.map((v, i) => Math.round(v + (bright[i] - v) * t)).join()})`;
      g.fillRect(this.at[b] * cell, this.at[a] * cell, cell + 0.6, cell + 0.6);
    }
    g.strokeStyle = themed(this.root, '--st-text-color'); g.lineWidth = 2;
    bounds.forEach(([from, to]) => g.strokeRect(from * cell, from * cell, (to - from) * cell, (to - from) * cell));
  }
  end() { cancelAnimationFrame(this.turn); }
}

// Two heads, their outputs in order, and lines between outputs of one class.
class Links {
  constructor(root, box) { this.svg = shape('svg', { class: 'links', viewBox: '0 0 420 250', role: 'img' }); this.lines = shape('g'); this.words = shape('g'); this.svg.append(this.lines, this.words); box.append(this.svg); }
  show(data) {
    set(this.svg, { 'aria-label': data.alt });
    const y = (i) => 62 + 42 * i, all = [];
    data.heads.forEach((head, side) => {
      const x = side ? 290 : 130, anchor = side ? 'start' : 'end';
      all.push({ x, y: 24, anchor, text: head.name, look: 'head' });
      head.classes.forEach((name, i) => all.push({ x, y: y(i), anchor, text: side ? `${i + 1}  ${name}` : `${name}  ${i + 1}`, look: head.shared.includes(name) ? 'shared' : '' }));
    });
    fit(this.words, all.length, () => shape('text')).forEach((node, i) => say(set(node, { x: all[i].x, y: all[i].y, 'text-anchor': all[i].anchor, class: all[i].look }), all[i].text));
    fit(this.lines, data.links.length, () => shape('path')).forEach((node, i) => {
      const [from, to] = data.links[i];
      set(node, { d: `M138,${y(from) - 4}C200,${y(from) - 4} 220,${y(to) - 4} 282,${y(to) - 4}`, class: from === to ? 'same' : 'crossed', pathLength: 1 });
      node.style.strokeDashoffset = data.drawn ? 0 : 1;
    });
  }
}

const KINDS = { chart: Curves, pictures: Pictures, dots: Dots, bars: Bars, cells: Cells, matrix: Matrix, links: Links };
const ICONS = { play: 'M4 2.5v11l9-5.5z', pause: 'M4 2.5h3v11H4zM9.5 2.5h3v11h-3z', again: 'M8 2.5a5.5 5.5 0 1 0 5.4 6.6h-1.9A3.7 3.7 0 1 1 8 4.3c1 0 2 .4 2.6 1.1L8.7 7.3H13.7V2.3L11.9 4.1A5.5 5.5 0 0 0 8 2.5z' };

class Stage {
  constructor(root, all) {
    this.root = root; this.panels = new Map(); this.now = -1; this.clock = 0; this.playing = false;
    this.label = make('div', { class: 'label' });
    this.scene = make('div', { class: 'scene' });
    this.caption = make('div', { class: 'caption', 'aria-live': 'off' });
    this.icon = shape('path');
    this.button = make('button', { type: 'button', class: 'play' }, shape('svg', { viewBox: '0 0 16 16', width: 16, height: 16, 'aria-hidden': 'true' }, this.icon));
    this.slide = make('input', { type: 'range', min: 0, step: 1, 'aria-label': 'Position' });
    this.told = make('output', { class: 'told' });
    this.bar = make('div', { class: 'player' }, this.button, this.slide, this.told);
    this.box = make('div', { class: 'stage' }, this.label, this.scene, this.caption, this.bar);
    all.append(this.box);
    this.button.onclick = () => { if (this.playing) this.pause(); else this.play(); };
    this.slide.oninput = () => { const to = Number(this.slide.value); this.pause(); this.seek(to); };
  }

  show(data) {
    if (data.id === this.id) { this.draw(); return; }
    const moved = data.move !== this.move, before = this.now;
    this.id = data.id; this.move = data.move; this.data = data; this.pause();
    this.states = data.scenes.flatMap((scene, number) => {
      const told = {};
      return scene.states.map((state, place) => {
        for (const [panel, change] of Object.entries(state.set)) told[panel] = { ...told[panel], ...change };
        return { ...state, number, place, shows: scene.panels.map((panel) => ({ ...panel, ...(told[panel.id] || {}) })), caption: state.caption || scene.caption };
      });
    });
    let start = 0;
    this.states.forEach((state) => { state.start = start; start += state.seconds; });
    this.total = start;
    say(this.label, data.label);
    set(this.box, { class: `stage${data.timed ? ' timed' : ''}${data.large ? ' large' : ''}` });
    set(this.bar, { hidden: this.states.length > 1 ? null : '' });
    set(this.slide, { max: data.timed ? Math.round(this.total) : this.states.length - 1 });
    this.now = -1;
    const end = this.states.length - 1;
    const rest = data.rest === null || data.rest === undefined ? end : data.rest;
    if (moved && data.autoplay && end > 0 && !still()) { this.clock = 0; this.enter(0); this.play(rest); }
    else if (moved) this.enter(data.timed ? 0 : rest);
    else this.enter(clamp(before, 0, end));
  }

  enter(index) {
    if (index === this.now) return;
    this.now = index; this.clock = Math.max(this.clock, this.states[index].start);
    if (!this.playing) this.clock = this.states[index].start;
    this.draw();
  }

  draw() {
    const state = this.states[this.now], seen = new Set();
    state.shows.forEach((panel, place) => {
      const name = `${panel.kind}:${panel.id}`;
      seen.add(name);
      let found = this.panels.get(name);
      if (!found) {
        const title = make('div', { class: 'title' }), inside = make('div', { class: 'inside' }), box = make('div', { class: `panel of-${panel.kind}` }, title, inside);
        this.panels.set(name, found = { box, title, inside, part: new KINDS[panel.kind](this.root, inside) });
      }
      if (this.scene.children[place] !== found.box) this.scene.insertBefore(found.box, this.scene.children[place] || null);
      say(found.title, panel.title || '');
      set(found.title, { hidden: panel.title ? null : '' });
      set(found.box, { class: `panel of-${panel.kind}${panel.quiet ? ' quiet' : ''}` });
      const times = this.data.large ? 1.3 : 1;
      found.box.style.flex = `${panel.grow || 1} 1 ${panel.width || 280}px`;
      found.box.style.maxWidth = panel.widest ? `${times * panel.widest}px` : '';
      found.inside.style.height = panel.height ? `${times * panel.height}px` : '';
      found.part.show(panel);
    });
    for (const [name, found] of this.panels) if (!seen.has(name)) { if (found.part.end) found.part.end(); found.box.remove(); this.panels.delete(name); }
    say(this.caption, state.caption || '');
    set(this.caption, { hidden: state.caption ? null : '' });
    this.drawPlayer();
  }

  drawPlayer() {
    const { data } = this, end = this.now === this.states.length - 1 && !this.playing;
    set(this.icon, { d: this.playing ? ICONS.pause : end ? ICONS.again : ICONS.play });
    set(this.button, { 'aria-label': this.playing ? 'Pause' : end ? 'Play again' : 'Play' });
    const words = data.timed ? `${Math.floor(this.clock)} of ${Math.round(this.total)} s` : this.states[this.now].label || '';
    this.slide.value = data.timed ? Math.floor(this.clock) : this.now;
    set(this.slide, { 'aria-valuetext': words });
    say(this.told, words);
  }

  seek(value) {
    if (!this.data.timed) { this.enter(value); return; }
    this.clock = clamp(value, 0, this.total - 0.01);
    const found = this.at(this.clock), kept = this.clock;
    if (found !== this.now) { this.now = found; this.draw(); }
    this.clock = kept; this.drawPlayer();
  }

  at(clock) {
    let found = 0;
    this.states.forEach((state, i) => { if (state.start <= clock + 1e-6) found = i; });
    return found;
  }

  // `until` is the state at which it comes to rest by itself: the last one, but where more is to be seen before it.
  play(until = this.states.length - 1) {
    if (this.clock >= this.total - 0.05 || this.now === this.states.length - 1) { this.clock = 0; this.now = -1; }
    this.playing = true;
    this.enter(this.at(this.clock));
    let before = performance.now();
    cancelAnimationFrame(this.turn);
    const tick = (now) => {
      // A tab that was hidden, or a machine that was busy, does not leap ahead.
      this.clock += Math.min(0.25, (now - before) / 1000); before = now;
      const found = this.at(this.clock);
      if (found !== this.now) { this.now = found; this.draw(); }
      if (this.clock >= this.total) this.clock = this.total;
      if (this.clock >= this.total || (this.now === until && until < this.states.length - 1)) { this.pause(); return; }
      if (this.data.timed) this.drawPlayer();
      this.turn = requestAnimationFrame(tick);
    };
    this.turn = requestAnimationFrame(tick);
    this.drawPlayer();
  }

  pause() {
    this.playing = false; cancelAnimationFrame(this.turn);
    if (this.states && this.now >= 0) this.drawPlayer();
  }

  end() { this.pause(); for (const found of this.panels.values()) if (found.part.end) found.part.end(); this.box.remove(); }
}

const kept = new WeakMap();
export default function ({ data, parentElement: root }) {
  let me = kept.get(root);
  if (!me) kept.set(root, me = new Stage(root, root.querySelector('.all')));
  me.show(data);
  return () => { me.end(); kept.delete(root); };
}
