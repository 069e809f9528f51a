// Two runs, one slider: each shows the stored images nearest to the share of its own way.
const kept = new WeakMap();
const GAP = 2;
export default function ({ data, parentElement: root }) {
  let me = kept.get(root);
  if (!me) {
    const all = root.querySelector('.all'), label = make('label', { class: 'way' }), words = make('span');
    const slider = make('input', { type: 'range', min: 0, max: 100, step: 1, value: 100 }), pair = make('div', { class: 'pair' });
    label.append(words, slider);
    all.append(label, pair);
    kept.set(root, me = { pair, slider, words, share: 1, shown: [] });
  }
  const nearest = (steps) => {
    const first = steps[0], last = steps[steps.length - 1], wanted = first + me.share * (last - first);
    let best = 0;
    steps.forEach((step, i) => { if (Math.abs(step - wanted) <= Math.abs(steps[best] - wanted)) best = i; });
    return best;
  };
  const draw = () => {
    const told = [];
    for (const { way, image, canvas, step } of me.shown) {
      const row = nearest(way.steps), columns = Math.ceil(Math.sqrt(way.count)), rows = Math.ceil(way.count / columns), cell = way.side + GAP;
      const words = `iteration ${way.steps[row]} of ${way.steps[way.steps.length - 1]}`;
      say(step, words);
      told.push(`${way.name}: ${words}`);
      set(canvas, { width: columns * cell - GAP, height: rows * cell - GAP, role: 'img', 'aria-label': `${way.count} recovered images of ${way.name}, ${words}` });
      if (!image.complete) continue;
      const pen = canvas.getContext('2d');
      pen.imageSmoothingEnabled = false;
      for (let i = 0; i < way.count; i++) pen.drawImage(image, i * way.side, row * way.side, way.side, way.side, (i % columns) * cell, Math.floor(i / columns) * cell, way.side, way.side);
    }
    set(me.slider, { 'aria-valuetext': told.join('; ') });
  };
  const same = me.shown.length === data.ways.length && data.ways.every((way, i) => way.sheet === me.shown[i].way.sheet && way.name === me.shown[i].way.name);
  if (!same) {
    me.shown = data.ways.map((way) => {
      const image = new Image(), canvas = make('canvas'), step = make('span');
      image.onload = () => me.draw();
      image.src = way.sheet;
      return { way, image, canvas, step };
    });
    me.pair.replaceChildren(...me.shown.map(({ way, canvas, step }) => {
      const caption = make('figcaption');
      caption.append(document.createTextNode(way.name), step);
      return make('figure', {}, caption, canvas);
    }));
  }
  say(me.words, data.label);
  me.slider.oninput = () => { me.share = me.slider.value / 100; draw(); };
  me.draw = draw;
  draw();
  return () => { me.slider.parentNode.remove(); me.pair.remove(); kept.delete(root); };
}
