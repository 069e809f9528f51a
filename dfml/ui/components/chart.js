// A chart of lines over steps. Nodes are made once; each call of `show` changes them in place.
const DASHES = ['', '7 4', '2 3', '9 3 2 3', '13 4', '4 2'];
const WIDEST_SAMPLE = 22;

class Chart {
  constructor(root, box) {
    this.root = root; this.hidden = new Set(); this.at = null;
    this.legend = make('div', { class: 'legend' });
    this.svg = shape('svg', { 'aria-hidden': 'true' });
    this.tip = make('div', { class: 'tip', role: 'status', hidden: '' });
    this.plot = make('div', { class: 'plot', tabindex: 0, role: 'group', 'aria-roledescription': 'chart' }, this.svg, this.tip);
    this.box = make('div', { class: 'chart' }, this.legend, this.plot);
    box.append(this.box);
    const layer = (name) => { const made = shape('g', { class: name }); this.svg.append(made); return made; };
    this.name = `clip${Math.random().toString(36).slice(2)}`;
    this.past = shape('rect', { x: 0, y: -9, height: 4000 });
    this.svg.append(shape('defs', {}, shape('clipPath', { id: this.name }, this.past)));
    for (const part of ['grid', 'ticks', 'bands', 'faint', 'ahead', 'lines', 'dots', 'levels', 'marks', 'cross', 'names']) this[part] = layer(part);
    for (const part of ['bands', 'lines', 'dots', 'marks']) set(this[part], { 'clip-path': `url(#${this.name})` });
    this.hair = shape('line', { class: 'hair' }); this.cross.append(this.hair);
    this.yName = shape('text', { class: 'name' }); this.xName = shape('text', { class: 'name', 'text-anchor': 'end' });
    this.none = shape('text', { class: 'none', 'text-anchor': 'middle' }); this.now = shape('line', { class: 'now' });
    this.names.append(this.yName, this.xName, this.none, this.now);
    this.watch = new ResizeObserver(() => { if (this.data) this.draw(); });
    this.watch.observe(this.plot);
    this.plot.onpointermove = this.plot.onpointerdown = (event) => this.point(event.clientX - this.plot.getBoundingClientRect().left);
    this.plot.onpointerleave = (event) => { if (event.pointerType === 'mouse') this.leave(); };
    this.plot.onblur = () => this.leave();
    this.plot.onkeydown = (event) => this.key(event);
  }

  show(data) { this.data = data; this.draw(); }

  // Where the replay stands: what comes later is faint. Nothing else is drawn anew.
  moveTo(cursor) { this.data.cursor = cursor; this.drawCursor(); this.drawLegend(); }

  end() { this.watch.disconnect(); }

  draw() {
    const { data } = this, width = this.plot.clientWidth, height = this.plot.clientHeight;
    if (width < 40 || height < 60) return;
    const colours = coloursOf(this.root), named = [...new Set(data.lines.filter((line) => !line.faint).map((line) => line.name))];
    const looks = data.lines.map((line) => Math.max(0, named.indexOf(line.name)));
    this.lines0 = data.lines.map((line, i) => ({ ...line, colour: colours[looks[i] % colours.length], dash: DASHES[looks[i] % DASHES.length] }));
    this.seen = this.lines0.filter((line) => !this.hidden.has(line.name));
    this.strong = this.seen.filter((line) => !line.faint && line.steps.length);
    set(this.plot, { 'aria-label': data.alt });
    set(this.svg, { viewBox: `0 0 ${width} ${height}` });
    this.scale(width, height);
    this.drawAxes(width, height);
    this.drawLines();
    this.drawMarks();
    this.drawLevels();
    this.drawCursor();
    this.drawLegend();
    this.drawCross();
  }

  scale(width, height) {
    const { data, seen } = this, every = [], steps = [];
    for (const line of seen) {
      for (let i = 0; i < line.steps.length; i++) {
        if (line.values[i] === null) continue;
        steps.push(line.steps[i]);
        const half = line.band ? line.band[i] || 0 : 0;
        every.push(line.values[i] - half, line.values[i] + half);
      }
    }
    const log = this.log = data.log && every.length > 0 && Math.min(...every) > 0;
    every.push(...data.levels.map((level) => level.value).filter((value) => !log || value > 0), ...(data.reach || []));
    let [first, last] = [Math.min(...steps, data.until ?? Infinity), Math.max(...steps, data.until ?? -Infinity)];
    if (!steps.length && data.until === null) [first, last] = [0, 1];
    if (first > 0) first = 0;
    if (last <= first) last = first + 1;
    let [low, high] = every.length ? [Math.min(...every), Math.max(...every)] : [0, 1];
    if (data.percent) [low, high] = [clamp(low, 0, 1), clamp(high, 0, 1)];
    // Levels alone say nothing of where a curve will be.
    if (data.percent && !steps.length) [low, high] = [0, 1];
    const rows = Math.max(2, Math.round((height - 60) / 34));
    if (log) {
      if (high / low < 1.02) [low, high] = [low / 1.1, high * 1.1];
      [low, high] = [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
      this.rows = logTicks(low, high, rows); this.unit = null;
    } else {
      // Values that hardly differ would else look as if they jumped.
      const least = data.percent ? 0.05 : Math.max(Math.abs(low), Math.abs(high)) / 1000 || 1;
      if (high - low < least) [low, high] = [(low + high - least) / 2, (low + high + least) / 2];
      if (data.percent) [low, high] = [clamp(low, 0, 1 - least), clamp(high, least, 1)];
      // Ends on a line of the grid, so that the axis stays where it is while the curve grows.
      const { step } = ticksOf(low, high, rows);
      [low, high] = [Math.floor(low / step + 1e-6) * step, Math.ceil(high / step - 1e-6) * step];
      this.unit = step; this.rows = ticksOf(low, high, 99, step).found;
    }
    this.words = this.rows.map((value) => (this.unit ? tickWords(value, this.unit, data.percent) : worded(value, data.percent)));
    const left = this.left = 10 + 7 * Math.max(2, ...this.words.map((text) => text.length));
    const right = this.right = width - 14, top = this.top = 26, bottom = this.bottom = height - 40;
    const flat = log ? (value) => Math.log(value) : (value) => value;
    this.x = (step) => left + (right - left) * (step - first) / (last - first);
    this.y = (value) => bottom - (bottom - top) * (flat(value) - flat(low)) / (flat(high) - flat(low));
    this.columns = ticksOf(first, last, Math.max(2, Math.floor((right - left) / 80)), data.whole ? 1 : 0);
    this.every = [...new Set(this.strong.flatMap((line) => line.steps.filter((_, i) => line.values[i] !== null)))].sort((a, b) => a - b);
  }

  drawAxes(width, height) {
    const { data, left, right, top, bottom, columns } = this;
    const rows = fit(this.grid, this.rows.length, () => shape('line'));
    this.rows.forEach((value, i) => set(rows[i], { x1: left, x2: right, y1: this.y(value).toFixed(1), y2: this.y(value).toFixed(1) }));
    const words = fit(this.ticks, this.rows.length + columns.found.length, () => shape('text'));
    this.rows.forEach((value, i) => say(set(words[i], { x: left - 7, y: this.y(value) + 4, 'text-anchor': 'end' }), this.words[i]));
    columns.found.forEach((value, i) => {
      const text = tickWords(value, columns.step, false), half = 3.5 * text.length;
      say(set(words[this.rows.length + i], { x: Math.min(this.x(value), width - half - 1), y: bottom + 17, 'text-anchor': 'middle' }), text);
    });
    say(set(this.yName, { x: 2, y: 12 }), data.log && this.log ? `${data.y} (log)` : data.y);
    say(set(this.xName, { x: right, y: height - 6 }), data.x);
    // In the middle of the widest gap between levels, whose words it would cover else.
    const ys = [bottom, ...data.levels.map((level) => this.y(level.value)).sort((a, b) => b - a), top];
    const gap = ys.slice(1).map((y, i) => [ys[i] - y, (ys[i] + y) / 2]).sort((a, b) => b[0] - a[0])[0];
    say(set(this.none, { x: (left + right) / 2, y: gap[1] + 4, visibility: this.every.length ? 'hidden' : 'visible' }), data.none);
  }

  path(line) {
    let text = '', pen = 'M';
    line.steps.forEach((step, i) => {
      if (line.values[i] === null || (this.log && line.values[i] <= 0)) { pen = 'M'; return; }
      text += `${pen}${this.x(step).toFixed(1)},${this.y(line.values[i]).toFixed(1)}`; pen = 'L';
    });
    return text;
  }

  drawLines() {
    const paint = (layer, lines, look) => fit(layer, lines.length, () => shape('path')).forEach((node, i) => set(node, look(lines[i])));
    const pale = this.seen.filter((line) => line.faint), banded = this.strong.filter((line) => line.band);
    paint(this.faint, pale, (line) => ({ d: this.path(line), stroke: line.colour }));
    paint(this.lines, this.strong, (line) => ({ d: this.path(line), stroke: line.colour, 'stroke-dasharray': line.dash }));
    paint(this.ahead, this.strong, (line) => ({ d: this.path(line), stroke: line.colour, 'stroke-dasharray': line.dash }));
    paint(this.bands, banded, (line) => {
      const points = line.steps.map((step, i) => [step, line.values[i], line.band[i]]).filter(([, value, half]) => value !== null && half !== null);
      const edge = (sign) => points.map(([step, value, half]) => {
        const end = value + sign * half, kept = this.data.percent ? clamp(end, 0, 1) : end;
        return `${this.x(step).toFixed(1)},${this.y(kept).toFixed(1)}`;
      });
      return { d: points.length ? `M${edge(1).join('L')}L${edge(-1).reverse().join('L')}Z` : '', fill: line.colour, stroke: points.length === 1 ? line.colour : 'none' };
    });
    // Few points are seen as points: also a single one, which makes no line.
    const points = this.strong.filter((line) => line.steps.length <= 40).flatMap((line) => line.steps.map((step, i) => ({ step, value: line.values[i], line })));
    const shown = points.filter(({ value }) => value !== null && !(this.log && value <= 0));
    fit(this.dots, shown.length, () => shape('circle')).forEach((node, i) => {
      const { step, value, line } = shown[i];
      set(node, { cx: this.x(step).toFixed(1), cy: this.y(value).toFixed(1), r: line.steps.length === 1 ? 4.5 : 3, fill: line.colour });
    });
  }

  // Diamonds upon the first line, at the height of the last point before them.
  drawMarks() {
    const first = this.strong[0], marks = first ? this.data.marks : [], colours = coloursOf(this.root);
    fit(this.marks, marks.length, () => shape('path', { d: 'M0-6L6 0L0 6L-6 0Z' })).forEach((node, i) => {
      const place = Math.max(0, last(first.steps, marks[i].step));
      set(node, { transform: `translate(${this.x(marks[i].step).toFixed(1)},${this.y(first.values[place] ?? 0).toFixed(1)})`, fill: colours[1 % colours.length] });
    });
  }

  drawLevels() {
    const levels = this.data.levels.filter((level) => !this.log || level.value > 0);
    const order = levels.map((_, i) => i).sort((a, b) => levels[b].value - levels[a].value), at = [];
    let before = -Infinity;
    // Words stand above their line, or below it where they would cover those of the next level above.
    for (const i of order) { const y = this.y(levels[i].value); at[i] = y - 5 - before < 13 ? y + 13 : y - 5; before = at[i]; }
    fit(this.levels, levels.length, () => shape('g', {}, shape('line'), shape('text'))).forEach((node, i) => {
      const y = this.y(levels[i].value).toFixed(1);
      set(node.children[0], { x1: this.left, x2: this.right, y1: y, y2: y, 'stroke-dasharray': i % 2 ? '2 4' : '6 4' });
      say(set(node.children[1], { x: this.right - 2, y: at[i], 'text-anchor': 'end' }), levels[i].name);
    });
  }

  drawCursor() {
    const { cursor } = this.data, given = cursor !== null && cursor !== undefined;
    // At the end nothing is behind it: the last points are seen whole.
    const whole = !given || !this.every.length || cursor >= this.every[this.every.length - 1];
    set(this.past, { width: whole ? 9999 : Math.max(0, this.x(cursor) + 0.5) });
    set(this.ahead, { visibility: given ? 'visible' : 'hidden' });
    set(this.now, { visibility: whole ? 'hidden' : 'visible' });
    if (given) set(this.now, { x1: this.x(cursor), x2: this.x(cursor), y1: this.top, y2: this.bottom });
  }

  drawLegend() {
    const { data } = this, shown = this.lines0.filter((line) => !line.faint), several = shown.length > 1;
    const kind = several ? 'BUTTON' : 'SPAN';
    if (this.legend.firstChild && this.legend.firstChild.tagName !== kind) this.legend.replaceChildren();
    const entries = fit(this.legend, shown.length, () => make(kind.toLowerCase(), { class: 'entry', ...(several ? { type: 'button' } : {}) },
      shape('svg', { width: WIDEST_SAMPLE, height: 10, 'aria-hidden': 'true' }, shape('line', { x1: 1, x2: WIDEST_SAMPLE - 1, y1: 5, y2: 5, 'stroke-width': 2.5 })), make('span'), make('b')));
    shown.forEach((line, i) => {
      const [sample, name, value] = entries[i].children, until = data.cursor ?? Infinity;
      const place = last(line.steps, until), newest = place >= 0 ? line.values[place] : null;
      set(sample.firstChild, { stroke: line.colour, 'stroke-dasharray': line.dash });
      say(name, line.name); say(value, newest === null ? '' : worded(newest, data.percent));
      if (!several) return;
      set(entries[i], { 'aria-pressed': String(!this.hidden.has(line.name)), title: `${line.name}: show or hide` });
      entries[i].onclick = () => { if (!this.hidden.delete(line.name)) this.hidden.add(line.name); this.draw(); };
    });
  }

  point(across) {
    if (!this.every || !this.every.length) return;
    let best = 0;
    this.every.forEach((step, i) => { if (Math.abs(this.x(step) - across) < Math.abs(this.x(this.every[best]) - across)) best = i; });
    this.at = this.every[best]; this.drawCross();
  }

  leave() { this.at = null; this.drawCross(); }

  key(event) {
    const { every } = this, now = this.at === null ? every.length - 1 : Math.max(0, last(every, this.at));
    if (event.key === 'Escape') { this.leave(); return; }
    const jump = event.shiftKey ? Math.max(1, Math.round(every.length / 10)) : 1;
    const to = { ArrowLeft: this.at === null ? now : now - jump, ArrowRight: now + jump, Home: 0, End: every.length - 1 }[event.key];
    if (to === undefined || !every.length) return;
    event.preventDefault();
    this.at = every[clamp(to, 0, every.length - 1)]; this.drawCross();
  }

  drawCross() {
    const given = this.at !== null && this.every.length > 0;
    set(this.cross, { visibility: given ? 'visible' : 'hidden' });
    set(this.tip, { hidden: given ? null : '' });
    if (!given) return;
    const { data } = this, x = this.x(this.at), found = [];
    for (const line of this.strong) {
      const place = last(line.steps, this.at);
      if (place >= 0 && line.values[place] !== null && !(this.log && line.values[place] <= 0)) found.push({ line, value: line.values[place], step: line.steps[place], half: line.band ? line.band[place] : null });
    }
    set(this.hair, { x1: x, x2: x, y1: this.top, y2: this.bottom });
    while (this.cross.children.length > found.length + 1) this.cross.lastChild.remove();
    found.forEach(({ line, value, step }, i) => {
      const node = this.cross.children[i + 1] || this.cross.appendChild(shape('circle', { r: 4.5 }));
      set(node, { cx: this.x(step), cy: this.y(value), fill: line.colour });
    });
    const near = data.marks.filter((mark) => Math.abs(this.x(mark.step) - x) < 7).slice(0, 3);
    const rows = [`${data.x} ${worded(this.at, false)}`,
      ...found.map(({ line, value, half }) => `${line.name} ${worded(value, data.percent)}${half ? ` ± ${data.percent ? (100 * half).toFixed(1) : worded(half, false)}` : ''}`),
      ...near.map((mark) => `◆ ${mark.text}`)];
    fit(this.tip, rows.length, () => make('div', {}, make('i'), make('span'))).forEach((node, i) => {
      const line = found[i - 1] && found[i - 1].line;
      node.firstChild.style.background = line ? line.colour : '';
      set(node.firstChild, { hidden: line ? null : '' });
      say(node.lastChild, rows[i]);
    });
    const width = this.tip.offsetWidth, right = x + 14 + width < this.plot.clientWidth;
    this.tip.style.left = `${right ? x + 14 : Math.max(0, x - 14 - width)}px`;
    this.tip.style.top = `${this.top + 2}px`;
  }
}

// Place of the last step that is not after `step`, or -1.
const last = (steps, step) => {
  let low = 0, high = steps.length;
  while (low < high) { const middle = (low + high) >> 1; if (steps[middle] <= step) low = middle + 1; else high = middle; }
  return low - 1;
};
