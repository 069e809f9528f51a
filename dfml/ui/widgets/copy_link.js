// One deed of the reader makes at most one entry of the browser's history. Streamlit makes one for each change of the
// address: when a page completes its own, and when it leaves a page and takes that page's choices out. Back would stop
// at each of them, and at none with what was seen there.
const keepHistory = () => {
  if (window.dfmlHistory) return;
  window.dfmlHistory = true;
  const push = history.pushState.bind(history);
  let made = true;
  for (const deed of ['pointerdown', 'keydown']) addEventListener(deed, () => { made = false; }, { capture: true });
  addEventListener('popstate', () => { made = true; }, { capture: true });
  history.pushState = (...entry) => {
    if (made) history.replaceState(...entry);
    else push(...entry);
    made = true;
  };
};

// A box that scrolls has to be reached by the keyboard, too, also where nothing in it can be pressed.
const reachScrolling = () => {
  if (window.dfmlScrolling) return;
  window.dfmlScrolling = true;
  let waiting = 0;
  const look = () => {
    waiting = 0;
    for (const box of document.querySelectorAll('[data-testid=stVerticalBlock][overflow=auto]:not([tabindex])')) box.tabIndex = 0;
  };
  new MutationObserver(() => { waiting ||= setTimeout(look, 300); }).observe(document.body, { childList: true, subtree: true });
  look();
};

const copied = async (text, field) => {
  // Only a page that came by https or from this computer may use the clipboard.
  if (window.isSecureContext && navigator.clipboard) {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* refused: the older way */ }
  }
  field.hidden = false;
  field.value = text;
  field.focus();
  field.select();
  let done = false;
  try { done = document.execCommand('copy'); } catch { /* the field stays, selected */ }
  if (done) field.hidden = true;
  return done;
};

const clocks = new WeakMap();

export default function ({ parentElement: root }) {
  keepHistory();
  reachScrolling();
  const button = root.querySelector('button'), told = root.querySelector('output'), field = root.querySelector('input');
  button.onclick = async () => {
    const done = await copied(location.href, field);
    if (done && !field.hidden) field.hidden = true;
    if (done) button.focus();
    told.textContent = done ? 'Copied' : 'Press Ctrl+C';
    clearTimeout(clocks.get(root));
    clocks.set(root, setTimeout(() => { told.textContent = ''; field.hidden = true; }, done ? 2500 : 30000));
  };
  return () => clearTimeout(clocks.get(root));
}
