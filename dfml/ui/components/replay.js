// Plays a run: one clock moves curves, pictures and the map; the server is not asked.
const kept = new WeakMap();
const SPEEDS = [0.5, 1, 2, 4];
const ICONS = { play: 'M3 1.5L13 8L3 14.5Z', pause: 'M3 2H6.5V14H3ZM9.5 2H13V14H9.5Z', back: 'M11.5 2L5.5 8L11.5 14M3.5 2V14', on: 'M4.5 2L10.5 8L4.5 14M12.5 2V14' };
const icon = (name) => shape('svg', { viewBox: '0 0 16 16', width: 14, height: 14, 'aria-hidden': 'true' }, shape('path', { d: ICONS[name] }));

class Replay {
  constructor(root, all) {
    this.root = root; this.at = 0; this.speed = 1; this.charts = []; this.id = null; this.frame = 0;
    const button = (name, label) => make('button', { type: 'button', class: name, 'aria-label': label, title: label }, icon(name));
    this.play = button('play', 'Play'); this.back = button('back', 'One step back'); this.on = button('on', 'One step on');
    this.slider = make('input', { type: 'range', min: 0, step: 1, 'aria-label': 'Iteration' });
    this.now = make('output', {});
    this.pace = make('select', { 'aria-label': 'Speed' }, ...SPEEDS.map((speed) => make('option', { value: speed }, `${speed}×`)));
    this.pace.value = '1';
    this.caption = make('p', { class: 'caption' });
    this.panes = make('div', { class: 'panes' });
    this.picturePane = this.pane(); this.mapPane = this.pane();
    this.grid = make('div', { class: 'frames', role: 'img' }); this.picturePane.body.append(this.grid);
    this.map = new PointMap(root, this.mapPane.body, () => {});
    all.append(make('div', { class: 'bar' }, make('span', { class: 'buttons' }, this.back, this.play, this.on), this.slider, this.now, this.pace), this.caption, this.panes);
    this.play.onclick = () => (this.playing ? this.stop() : this.start());
    this.back.onclick = () => { this.stop(); this.move(Math.ceil(this.at) - 1); };
    this.on.onclick = () => { this.stop(); this.move(Math.floor(this.at) + 1); };
    this.slider.oninput = () => { this.stop(); this.move(Number(this.slider.value)); };
    this.pace.onchange = () => { this.speed = Number(this.pace.value); };
  }

  pane() {
    const title = make('figcaption'), body = make('div', { class: 'body' });
    return { title, body, figure: make('figure', {}, title, body) };
  }

  update(data) {
    const fresh = this.id !== data.id;
    this.data = data;
    while (this.charts.length > data.charts.length) { const { chart, figure } = this.charts.pop(); chart.end(); figure.remove(); }
    while (this.charts.length < data.charts.length) { const pane = this.pane(); this.charts.push({ ...pane, chart: new Chart(this.root, pane.body) }); }
    const wanted = [...this.charts.map((one) => one.figure), ...(data.frames.length ? [this.picturePane.figure] : []), ...(data.map.points.length ? [this.mapPane.figure] : [])];
    if (wanted.length !== this.panes.children.length || wanted.some((figure, i) => this.panes.children[i] !== figure)) this.panes.replaceChildren(...wanted);
    set(this.slider, { max: Math.max(0, data.steps.length - 1) });
    if (fresh) { this.stop(); this.id = data.id; this.at = data.steps.length - 1; }
    this.at = clamp(this.at, 0, Math.max(0, data.steps.length - 1));
    this.charts.forEach(({ title, chart }, i) => { say(title, data.charts[i].title); chart.show({ ...data.charts[i], cursor: this.step() }); });
    sheetOn(this.grid, data.sheet);
    this.grid.style.gridTemplateColumns = `repeat(${data.wide}, minmax(0, ${data.cell}px))`;
    say(this.mapPane.title, data.mapTitle);
    if (data.map.points.length) this.map.update(data.map);
    this.paint();
    if (fresh && data.autoplay && !still()) { this.at = 0; this.start(); }
  }

  // The step at this moment; between two of them while it plays.
  step() {
    const { steps } = this.data, low = Math.floor(this.at), part = this.at - low;
    return steps.length ? steps[low] + part * ((steps[low + 1] ?? steps[low]) - steps[low]) : 0;
  }

  move(at) { this.at = clamp(at, 0, Math.max(0, this.data.steps.length - 1)); this.paint(); }

  start() {
    const ends = this.data.steps.length - 1;
    if (this.at >= ends) this.at = 0;
    this.playing = true; this.before = null; this.label();
    const tick = (time) => {
      if (!this.playing) return;
      if (this.before !== null) this.move(this.at + this.speed * Math.min(250, time - this.before) / 1000 * ends / this.data.seconds);
      this.before = time;
      if (this.at >= this.data.steps.length - 1) this.stop(); else this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  stop() { this.playing = false; cancelAnimationFrame(this.frame); this.label(); }

  label() {
    const name = this.playing ? 'pause' : 'play', word = this.playing ? 'Pause' : 'Play';
    set(this.play, { 'aria-label': word, title: word }); set(this.play.firstChild.firstChild, { d: ICONS[name] });
  }

  paint() {
    const { data } = this, step = this.step(), whole = Math.floor(step + 1e-9), end = data.steps[data.steps.length - 1] ?? 0;
    this.slider.value = String(Math.floor(this.at));
    // The filled part of the track; the browser's own is white in the dark.
    this.slider.style.setProperty('--done', `${100 * this.at / Math.max(1, data.steps.length - 1)}%`);
    const words = `${data.x} ${grouped(String(whole))} of ${grouped(String(end))}`;
    say(this.now, words); set(this.slider, { 'aria-valuetext': words });
    set(this.back, { disabled: this.at <= 0 ? '' : null }); set(this.on, { disabled: this.at >= data.steps.length - 1 ? '' : null });
    this.charts.forEach(({ chart }) => { if (chart.x) chart.moveTo(step); });
    if (data.frames.length) this.pictures(Math.max(0, last(data.frames.map((frame) => frame.step), step)));
    if (data.map.points.length && this.map.until !== whole) this.map.upTo(whole);
    say(this.caption, data.caption); set(this.caption, { hidden: data.caption ? null : '' });
  }

  pictures(place) {
    const { data } = this, frame = data.frames[place];
    if (this.shown === `${this.id}:${place}`) return;
    this.shown = `${this.id}:${place}`;
    const words = `${data.frameTitle} ${grouped(String(frame.step))}`;
    say(this.picturePane.title, words); set(this.grid, { 'aria-label': [words, ...frame.captions].join(', ') });
    // Always as many cells, so that nothing jumps.
    fit(this.grid, data.most, () => make('div', {}, make('div', { class: 'picture' }), make('span'))).forEach((cell, i) => {
      cell.style.visibility = i < frame.count ? 'visible' : 'hidden';
      if (i < frame.count) placeTile(cell.firstChild, data.sheet, frame.first + i);
      say(cell.lastChild, frame.captions[i] || ''); set(cell.lastChild, { hidden: data.captioned ? null : '' });
    });
  }

  end() { this.stop(); this.charts.forEach(({ chart }) => chart.end()); this.map.end(); }
}

export default function ({ data, parentElement: root }) {
  let me = kept.get(root);
  if (!me) {
    const all = root.querySelector('.all');
    all.replaceChildren();
    kept.set(root, me = new Replay(root, all));
  }
  me.update(data);
  return () => { me.end(); kept.delete(root); };
}
