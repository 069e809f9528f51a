const kept = new WeakMap();
export default function ({ data, parentElement: root }) {
  let me = kept.get(root);
  if (!me) {
    const all = root.querySelector('.all');
    kept.set(root, me = { all, chart: new Chart(root, all) });
  }
  me.all.style.height = `${data.height}px`;
  me.chart.show(data);
  return () => { me.chart.end(); me.chart.box.remove(); kept.delete(root); };
}
