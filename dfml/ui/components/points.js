// A map of points: each is one node that moves smoothly to where it belongs; what is near the pointer is shown.
const CARD = 112;

class PointMap {
  constructor(root, box, tell) {
    this.root = root; this.tell = tell; this.at = null; this.picked = null; this.nodes = []; this.until = Infinity;
    this.svg = shape('svg', { 'aria-hidden': 'true' });
    this.layer = shape('g'); this.halo = shape('circle', { class: 'halo', r: 11 }); this.none = shape('text', { 'text-anchor': 'middle' });
    this.svg.append(this.halo, this.layer, this.none);
    this.image = make('div', { class: 'picture' }); this.words = make('span');
    this.card = make('div', { class: 'tip card', role: 'status', hidden: '' }, this.image, this.words);
    this.map = make('div', { class: 'map', tabindex: 0, role: 'group', 'aria-roledescription': 'map' }, this.svg, this.card);
    box.append(this.map);
    this.watch = new ResizeObserver(() => { if (this.data) this.place(); });
    this.watch.observe(this.map);
    const near = (event) => { const box = this.map.getBoundingClientRect(); return this.nearest(event.clientX - box.left, event.clientY - box.top); };
    this.map.onpointermove = this.map.onpointerdown = (event) => this.show(near(event));
    this.map.onpointerleave = (event) => { if (event.pointerType === 'mouse') this.show(null); };
    this.map.onblur = () => this.show(null);
    this.map.onclick = (event) => { const i = near(event); if (i !== null) this.pick(i); };
    this.map.onkeydown = (event) => this.key(event);
  }

  update(data) {
    this.data = data;
    set(this.map, { 'aria-label': data.alt });
    sheetOn(this.card, data.sheet);
    this.place();
  }

  end() { this.watch.disconnect(); }

  // Points of later steps wait; those of the newest step are large.
  upTo(step) { this.until = step; this.paint(); }

  place() {
    const { points } = this.data, width = this.map.clientWidth, height = this.map.clientHeight;
    if (width < 40 || height < 40) return;
    set(this.svg, { viewBox: `0 0 ${width} ${height}` });
    const xs = points.map((point) => point.x), ys = points.map((point) => point.y);
    const [left, right, low, high] = points.length ? [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)] : [0, 1, 0, 1];
    // The same scale both ways: distances are what such a map is for.
    const scale = Math.min((width - 36) / (right - left || 1e-9), (height - 36) / (high - low || 1e-9), 1e9);
    this.spots = points.map((point) => [width / 2 + (point.x - (left + right) / 2) * scale, height / 2 - (point.y - (low + high) / 2) * scale]);
    say(set(this.none, { x: width / 2, y: height / 2, visibility: points.length ? 'hidden' : 'visible' }), this.data.none);
    this.paint();
  }

  paint() {
    const { points } = this.data, colours = coloursOf(this.root);
    if (!this.spots) return;
    const first = this.layer.children.length, quick = still();
    fit(this.layer, points.length, () => shape('path'));
    const steps = points.map((point) => point.step), shown = steps.filter((step) => step <= this.until);
    const newest = Math.max(...shown, -Infinity), oldest = Math.min(...shown, Infinity), differ = newest > oldest;
    [...this.layer.children].forEach((node, i) => {
      const { group, mark, step } = points[i], there = step <= this.until, fresh = there && differ && step === newest;
      const colour = colours[group % colours.length], age = differ && there ? (step - oldest) / (newest - oldest) : 1;
      set(node, { class: `${mark}${fresh ? ' fresh' : ''}`, d: FORMS[mark] || FORMS.dot });
      node.style.color = colour;
      const where = `translate(${this.spots[i][0].toFixed(1)}px,${this.spots[i][1].toFixed(1)}px) scale(${there ? (fresh ? 1.45 : 1) : 0})`;
      if (i >= first || quick) node.style.transition = 'none'; else node.style.transition = '';
      node.style.transform = where; node.style.opacity = there ? 0.4 + 0.6 * age : 0;
    });
    this.show(this.at);
  }

  visible(i) { return this.data.points[i].step <= this.until; }

  nearest(x, y) {
    let best = null, least = 26;
    (this.spots || []).forEach(([a, b], i) => { const far = Math.hypot(a - x, b - y); if (far < least && this.visible(i)) { least = far; best = i; } });
    return best;
  }

  show(i) {
    const point = i === null ? undefined : this.data.points[i], given = point !== undefined && this.visible(i);
    this.at = given ? i : null;
    const ring = given ? i : this.picked !== null && this.data.points[this.picked] && this.visible(this.picked) ? this.picked : null;
    set(this.halo, { visibility: ring === null ? 'hidden' : 'visible' });
    if (ring !== null) set(this.halo, { cx: this.spots[ring][0], cy: this.spots[ring][1] });
    set(this.card, { hidden: given ? null : '' });
    this.map.classList.toggle('near', given);
    if (!given) return;
    const has = point.picture !== null;
    set(this.image, { hidden: has ? null : '' });
    if (has) placeTile(this.image, this.data.sheet, point.picture);
    say(this.words, point.text);
    const [x, y] = this.spots[i], width = this.card.offsetWidth, height = this.card.offsetHeight;
    const across = x + 16 + width < this.map.clientWidth ? x + 16 : x - 16 - width;
    this.card.style.left = `${clamp(across, 0, Math.max(0, this.map.clientWidth - width))}px`;
    this.card.style.top = `${clamp(y - height / 2, 0, Math.max(0, this.map.clientHeight - height))}px`;
  }

  pick(i) { this.picked = i; this.show(i); this.tell(i); }

  key(event) {
    const seen = this.data.points.map((_, i) => i).filter((i) => this.visible(i));
    if (!seen.length) return;
    if (event.key === 'Escape') { this.show(null); return; }
    const at = this.at ?? this.picked;
    if (event.key === 'Enter' || event.key === ' ') { if (at !== null) { event.preventDefault(); this.pick(at); } return; }
    if (event.key === 'Home' || event.key === 'End') { event.preventDefault(); this.show(event.key === 'Home' ? seen[0] : seen[seen.length - 1]); return; }
    const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    if (at === null || !this.visible(at)) { this.show(seen[seen.length - 1]); return; }
    let best = at, least = Infinity;
    for (const i of seen) {
      const x = this.spots[i][0] - this.spots[at][0], y = this.spots[i][1] - this.spots[at][1];
      const along = x * way[0] + y * way[1], off = Math.abs(x * way[1]) + Math.abs(y * way[0]);
      if (i !== at && along > 0 && along + 3 * off < least) { least = along + 3 * off; best = i; }
    }
    this.show(best);
  }
}

const FORMS = {
  dot: 'M-5.5 0A5.5 5.5 0 1 1 5.5 0A5.5 5.5 0 1 1 -5.5 0Z',
  ring: 'M-5 0A5 5 0 1 1 5 0A5 5 0 1 1 -5 0Z',
  cross: 'M-5 -5L5 5M-5 5L5 -5',
};
