const kept = new WeakMap();
export default function ({ data: sent, parentElement: root, setTriggerValue }) {
  const data = told(sent);
  let me = kept.get(root);
  if (!me) {
    const all = root.querySelector('.all');
    all.replaceChildren();
    kept.set(root, me = { all });
    me.map = new PointMap(root, all, (i) => me.tell(i));
  }
  me.tell = (i) => setTriggerValue('opened', i);
  me.all.style.height = `${data.height}px`;
  me.map.update(data);
  return () => { me.map.end(); kept.delete(root); };
}
