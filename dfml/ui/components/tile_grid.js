const kept = new WeakMap();
const SIGNS = { right: '✓', wrong: '✕' };

export default function ({ data: sent, parentElement: root, setStateValue }) {
  const data = told(sent);
  let me = kept.get(root);
  if (!me) {
    const grid = make('div', { class: 'grid' });
    root.querySelector('.all').replaceChildren(grid);
    kept.set(root, me = { grid, at: 0, id: null, told: undefined });
  }
  const { grid } = me, { tiles, sheet, pick } = data;
  if (me.kind !== pick) { grid.replaceChildren(); me.kind = pick; }
  set(grid, { role: pick ? 'listbox' : 'list', 'aria-label': data.alt });
  grid.style.gridTemplateColumns = data.columns ? `repeat(${data.columns}, minmax(0, ${data.side}px))` : `repeat(auto-fill, minmax(min(${data.side}px, 100%), ${data.side}px))`;
  sheetOn(grid, sheet);
  const all = fit(grid, tiles.length, () => {
    const parts = [make('div', { class: 'picture' }), make('i', { 'aria-hidden': 'true' }), make('span', { class: 'words', 'aria-hidden': pick ? 'true' : null })];
    return pick ? make('button', { type: 'button', role: 'option', tabindex: -1 }, ...parts) : make('div', { role: 'listitem' }, ...parts);
  });
  all.forEach((tile, i) => {
    const { text, label, sign } = tiles[i], [picture, corner, words] = tile.children;
    tile.className = `tile ${sign}`;
    placeTile(picture, sheet, i);
    if (!pick) set(picture, { role: 'img', 'aria-label': label });
    set(tile, { 'aria-label': pick ? label : null, title: label });
    say(corner, SIGNS[sign] || ''); set(corner, { hidden: SIGNS[sign] ? null : '' });
    say(words, data.words ? text : ''); set(words, { hidden: data.words && text ? null : '' });
  });
  if (!pick) return undefined;

  const mark = (place) => all.forEach((tile, i) => set(tile, { 'aria-selected': String(i === place) }));
  const stand = (place) => { me.at = place; all.forEach((tile, i) => set(tile, { tabindex: i === place ? 0 : -1 })); };
  const choose = (place) => { me.picked = place; mark(place); if (place !== null) stand(place); setStateValue('picked', { id: data.id, place, number: Date.now() }); };
  // What the page says is picked holds where it says something new; else what was clicked last, for the answer to a
  // click may be drawn before it arrives.
  if (me.id !== data.id) { me.id = data.id; me.at = clamp(me.at, 0, Math.max(0, tiles.length - 1)); me.picked = data.picked; me.told = data.picked; }
  else if (me.told !== data.picked) { me.told = data.picked; me.picked = data.picked; }
  mark(me.picked);
  stand(root.activeElement && all.includes(root.activeElement) ? all.indexOf(root.activeElement) : me.picked ?? me.at);
  grid.onclick = (event) => { const place = all.indexOf(event.target.closest('.tile')); if (place >= 0) choose(place); };
  grid.onkeydown = (event) => {
    const wide = getComputedStyle(grid).gridTemplateColumns.split(' ').length, at = all.indexOf(root.activeElement);
    if (event.key === 'Escape' && me.picked !== null) { choose(null); return; }
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + wide, ArrowUp: at - wide, Home: 0, End: tiles.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    if (all[to]) { stand(to); all[to].focus(); }
  };
  return () => kept.delete(root);
}
