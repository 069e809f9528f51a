const kept = new WeakMap();
const share = (value) => `${(100 * clamp(value, 0, 1)).toFixed(2)}%`;

export default function ({ data, parentElement: root }) {
  let me = kept.get(root);
  if (!me) {
    const rows = make('div', { class: 'rows', role: 'list' });
    root.querySelector('.all').append(rows);
    kept.set(root, me = { rows });
  }
  set(me.rows, { 'aria-label': data.alt, class: data.compact ? 'rows compact' : 'rows' });
  const level = data.bars.find((bar) => bar.look === 'level');
  const all = fit(me.rows, data.bars.length, () => make('div', { role: 'listitem', class: 'row' },
    make('div', { class: 'name' }, make('b'), make('small')),
    make('div', { class: 'track' }, make('div', { class: 'fill' }), make('div', { class: 'whisker' }), make('i', { class: 'before', 'aria-hidden': 'true' }, '◇'), make('div', { class: 'even' })),
    make('div', { class: 'words' })));
  all.forEach((row, i) => {
    const { name, words, note, look, value, ends, before } = data.bars[i], [label, track, end] = row.children;
    row.className = `row ${look}`;
    set(row, { title: ends ? `${name}: ${words}, 95 % interval ${worded(ends[0], true)} to ${worded(ends[1], true)}` : `${name}: ${words}` });
    say(label.firstChild, name); say(label.lastChild, note); set(label.lastChild, { hidden: note ? null : '' });
    say(end, words);
    const [fill, whisker, diamond, line] = track.children;
    fill.style.width = value === null || look === 'level' ? '0' : share(value);
    set(whisker, { hidden: ends ? null : '' });
    if (ends) { whisker.style.left = share(ends[0]); whisker.style.width = share(ends[1] - ends[0]); }
    set(diamond, { hidden: before === null ? '' : null });
    if (before !== null) diamond.style.left = share(before);
    set(line, { hidden: level ? null : '' });
    if (level) line.style.left = share(level.value);
  });
  return () => kept.delete(root);
}
