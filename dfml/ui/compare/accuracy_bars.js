const STROKES = ['dashed', 'dotted', 'solid'];
// Bars below each other on one axis; each is a line of a list, so its words are read with it.
export default function ({ data, parentElement: root }) {
  const all = root.querySelector('.all'), { low, high, step } = data, colour = coloursOf(root)[0];
  const at = (value) => `${(100 * (value - low)) / (high - low)}%`;
  const wide = (from, to) => `${(100 * Math.abs(to - from)) / (high - low)}%`;
  const put = (parent, name, styles) => { const made = make('span', { class: name, 'aria-hidden': 'true' }); Object.assign(made.style, styles); parent.append(made); };
  const axisWords = (tick) => data.points ? (tick > step / 2 ? '+' : '') + tickWords(100 * tick, 100 * step, false) : tickWords(tick, step, true);
  const ticks = [];
  for (let i = Math.round(low / step); i * step <= high + step * 1e-6; i++) ticks.push(i * step);
  all.style.setProperty('--own', colour);
  const list = make('div', { class: 'bars', role: 'list', 'aria-label': data.alt });
  for (const bar of data.bars) {
    const row = make('div', { class: bar.recorded ? 'bar recorded' : 'bar', role: 'listitem' });
    const name = make('span', { class: 'name' }, say(make('span'), bar.name)), track = make('span', { class: 'track' });
    if (bar.note) name.append(say(make('span', { class: 'note' }), bar.note));
    for (const tick of ticks) put(track, Math.abs(tick) < step / 2 ? 'grid zero' : 'grid', { left: at(tick) });
    if (bar.value !== null) put(track, 'fill', { left: at(Math.min(0, bar.value)), width: wide(0, bar.value) });
    data.levels.forEach((level, i) => put(track, 'level', { left: at(level.value), borderLeftStyle: STROKES[i % 3] }));
    if (bar.value !== null && bar.half !== null) put(track, 'whisker', { left: at(bar.value - bar.half), width: wide(0, 2 * bar.half) });
    for (const dot of bar.dots) put(track, 'dot', { left: at(dot) });
    row.append(name, track, say(make('span', { class: 'told' }), bar.told));
    list.append(row);
  }
  const axis = make('span', { class: 'axis', 'aria-hidden': 'true' });
  for (const tick of ticks) { const words = say(make('span'), axisWords(tick)); words.style.left = at(tick); axis.append(words); }
  list.append(make('span', { class: 'corner' }), axis, make('span'));
  const levels = make('div', { class: 'levels' });
  data.levels.forEach((level, i) => {
    const sample = make('i', { 'aria-hidden': 'true' }), entry = make('span', {}, sample, say(make('span'), `${level.name}: ${worded(level.value, true)}`));
    sample.style.borderLeftStyle = STROKES[i % 3];
    levels.append(entry);
  });
  all.replaceChildren(list, levels);
}
