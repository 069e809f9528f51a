const kept = new WeakMap();

export default function ({ data, parentElement: root, setTriggerValue }) {
  let me = kept.get(root);
  if (!me) {
    const list = make('div', { class: 'shelf', role: 'list' });
    root.querySelector('.all').append(list);
    kept.set(root, me = { list });
  }
  const { list } = me, { names, sheet } = data;
  set(list, { 'aria-label': data.alt });
  sheetOn(list, sheet);
  list.style.gridTemplateColumns = `repeat(auto-fill, ${data.side}px)`;
  const all = fit(list, names.length, () => make('div', { role: 'listitem', class: 'kept' }, make('div', { class: 'picture', role: 'img' }), make('button', { type: 'button' }, '✕')));
  all.forEach((item, i) => {
    const [picture, button] = item.children, label = `picture ${i + 1}`;
    placeTile(picture, sheet, i);
    set(picture, { 'aria-label': label });
    set(button, { 'aria-label': `Remove ${label}`, title: `Remove ${label}` });
    button.onclick = () => setTriggerValue('removed', names[i]);
  });
  return () => kept.delete(root);
}
