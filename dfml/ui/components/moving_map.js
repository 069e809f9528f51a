const kept = new WeakMap();
const ICONS = { play: 'M3 1.5L13 8L3 14.5Z', pause: 'M3 2H6.5V14H3ZM9.5 2H13V14H9.5Z' };
const PACE = 650;

// All steps share one scale, so that a point moves as far as its features do.
class MovingMap extends PointMap {
  place() {
    const { points, places } = this.data, width = this.map.clientWidth, height = this.map.clientHeight;
    if (width < 40 || height < 40) return;
    set(this.svg, { viewBox: `0 0 ${width} ${height}` });
    const every = places.flat(), xs = every.map((place) => place[0]), ys = every.map((place) => place[1]);
    const [left, right, low, high] = points.length ? [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)] : [0, 1, 0, 1];
    const across = Math.min((width - 36) / (right - left || 1e-9), 1e9), up = Math.min((height - 36) / (high - low || 1e-9), 1e9), scale = Math.min(across, up);
    this.spots = places[this.step].map(([x, y]) => [width / 2 + (x - (left + right) / 2) * scale, height / 2 - (y - (low + high) / 2) * scale]);
    set(this.none, { visibility: 'hidden' });
    this.paint();
  }

  stand(step) { this.step = step; this.place(); }
}

class Player {
  constructor(root, all, tell) {
    this.icon = shape('path', { d: ICONS.play });
    this.play = make('button', { type: 'button', class: 'play' }, shape('svg', { viewBox: '0 0 16 16', width: 14, height: 14, 'aria-hidden': 'true' }, this.icon));
    this.slider = make('input', { type: 'range', min: 0, step: 1 });
    this.now = make('output');
    this.bar = make('div', { class: 'steps' }, this.play, this.slider, this.now);
    this.legend = make('div', { class: 'signs' });
    this.box = make('div');
    all.append(this.bar, this.box, this.legend);
    this.map = new MovingMap(root, this.box, tell);
    this.play.onclick = () => (this.timer ? this.stop() : this.start());
    this.slider.oninput = () => { this.stop(); this.stand(Number(this.slider.value)); };
    this.root = root; this.label();
  }

  update(data) {
    this.last = data.places.length - 1;
    if (this.id !== data.id) { this.stop(); this.id = data.id; this.map.step = this.last; }
    this.box.style.height = `${data.height}px`;
    this.name = data.stepName;
    set(this.bar, { hidden: this.last ? null : '' });
    set(this.slider, { max: this.last, 'aria-label': data.stepName });
    const colours = coloursOf(this.root);
    fit(this.legend, data.legend.length, () => make('span', {}, shape('svg', { viewBox: '-8 -8 16 16', width: 14, height: 14, 'aria-hidden': 'true' }, shape('path')), make('span'))).forEach((entry, i) => {
      const { text, group, mark } = data.legend[i], path = entry.firstChild.firstChild;
      set(path, { d: FORMS[mark] || FORMS.dot, class: mark });
      path.style.color = group === null ? 'var(--st-text-color)' : colours[group % colours.length];
      say(entry.lastChild, text);
    });
    this.map.update(data);
    this.told();
  }

  stand(step) { this.map.stand(step); this.told(); }

  told() {
    const words = `${this.name} ${this.map.step} / ${this.last}`;
    this.slider.value = String(this.map.step);
    this.slider.style.setProperty('--done', `${100 * this.map.step / Math.max(1, this.last)}%`);
    set(this.slider, { 'aria-valuetext': words }); say(this.now, words);
  }

  start() {
    if (this.map.step >= this.last) this.stand(0);
    this.timer = setInterval(() => { this.stand(this.map.step + 1); if (this.map.step >= this.last) this.stop(); }, PACE);
    this.label();
  }

  stop() { clearInterval(this.timer); this.timer = null; this.label(); }

  label() {
    const word = this.timer ? 'Pause' : 'Play';
    set(this.play, { 'aria-label': word, title: word }); set(this.icon, { d: ICONS[word.toLowerCase()] });
  }

  end() { clearInterval(this.timer); this.map.end(); }
}

export default function ({ data, parentElement: root, setTriggerValue }) {
  let me = kept.get(root);
  if (!me) {
    const all = root.querySelector('.all');
    all.replaceChildren();
    kept.set(root, me = {});
    me.player = new Player(root, all, (i) => me.tell(i));
  }
  me.tell = (i) => setTriggerValue('opened', i);
  me.player.update(data);
  return () => { me.player.end(); kept.delete(root); };
}
