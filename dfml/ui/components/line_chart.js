const kept = new WeakMap();
export default function ({ data: sent, parentElement: root }) {
  const data = told(sent);
  let me = kept.get(root);
  if (!me) {
    const all = root.querySelector('.all');
    all.replaceChildren();
    kept.set(root, me = { all, chart: new Chart(root, all) });
  }
  me.all.style.height = `${data.height}px`;
  me.chart.show(data);
  // What was drawn stays until the next call draws anew: no frame is blank between them.
  return () => { me.chart.end(); kept.delete(root); };
}
