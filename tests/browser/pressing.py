"""Finds what can be operated on a page, within components and opened boxes too, and operates it."""

import re

PATIENCE = 5000
"""Milliseconds for a control to stand still and be in sight."""
WATCH = """
(() => {
  let [sent, changed, pressed] = [-1, 0, 0];
  const send = WebSocket.prototype.send, state = () => document.querySelector('[data-test-script-state]');
  WebSocket.prototype.send = function (...all) { sent = performance.now(); return send.apply(this, all); };
  new MutationObserver(() => { changed = performance.now(); })
    .observe(document, { subtree: true, attributeFilter: ['data-test-script-state'] });
  for (const kind of ['pointerup', 'keyup', 'input']) {
    addEventListener(kind, () => { pressed = performance.now(); }, true);
  }
  window.answered = () => {
    const now = performance.now(), ended = state()?.dataset.testScriptState === 'notRunning';
    // A moment for what is asked a frame later, or by the script itself; an answer may be too short to be seen.
    return ended && now - Math.max(changed, pressed) > 60 && (changed >= sent || now - sent > 2000);
  };
})();
"""
"""Put into each page: whether the script has ended that the last message to the server had asked for."""

NEXT = """
({ pressed, last }) => {
  const wanted = 'button, summary, [role=tab], [role=radio], [role=switch], [role=option], [role=combobox], ' +
    '[role=slider], input:not([type=file]), textarea, select, canvas[data-testid=data-grid-canvas]';
  // Streamlit's own, of charts, tables, code, hints and files.
  const theirs = '[data-testid=stElementToolbar], .modebar, [data-testid=stCodeCopyButton], [role=row], ' +
    '[aria-label^=Help], [aria-label=Open], [data-testid=stFileUploader], [data-testid=stCameraInput], ' +
    '[data-stale=true]';
  const ending = new RegExp(last, 'i');
  function* below(root) {
    for (const node of root.querySelectorAll('*')) {
      if (node.matches(wanted)) yield node;
      if (node.shadowRoot) yield* below(node.shadowRoot);
    }
  }
  const kind = (one) => {
    const role = one.matches('[type=checkbox]') ? 'switch' : one.getAttribute('role') || one.type;
    if (role === 'combobox') return 'choose';
    if (one.matches('select')) return 'select';
    if (one.matches('canvas')) return 'mark';
    if (role === 'slider' || role === 'range') return 'slide';
    return one.matches('textarea, input') && !['switch', 'radio', 'button'].includes(role) ? 'type' : 'press';
  };
  const name = (one) => {
    const keyed = one.matches('canvas') && one.closest('[class*=st-key-]');
    if (keyed) return keyed.className.match(/st-key-([a-z]+(-[a-z]+)?)/)[1];
    if (one.matches('[data-testid=stNumberInput] button')) return one.dataset.testid; // of one field for all
    const words = [one.getAttribute('aria-label'), one.closest('label')?.innerText, one.innerText, one.title];
    let said = words.find((text) => text && text.trim()) || '';
    for (const icon of one.querySelectorAll('[data-testid*=Icon]')) said = said.replace(icon.innerText, '');
    said = said.replace(/\\s+/g, ' ').trim().slice(0, 60);
    if (kind(one) === 'press') said = said.replace(/\\d[\\d.,]*/g, '#');
    const place = new URLSearchParams(location.search);
    if (said !== 'Next') return said;
    return place.has('present') ? 'Next presented' : `Next from ${place.get('lesson')}.${place.get('step')}`;
  };
  const best = { rank: 9 };
  const look = (root) => {
    const tiles = new Map();
    for (let one of below(root)) {
      if (one.disabled || one.getAttribute('aria-disabled') === 'true' || one.closest(theirs)) continue;
      const how = kind(one), said = name(one), grid = one.closest('[role=listbox]');
      if (grid) {
        tiles.set(grid, (tiles.get(grid) || 0) + 1);
        if (tiles.get(grid) > 2) continue;
      }
      if (one.matches('input[type=checkbox], input[type=radio]')) one = one.closest('label') || one;
      const box = one.getBoundingClientRect();
      if (!said || pressed.includes(how + ' ' + said)) continue;
      if (box.width < 2 || box.height < 2 || !one.checkVisibility({ visibilityProperty: true })) continue;
      // Among options are such as no order is accepted with.
      const leads = said === 'Options' || one.matches('[role=tab], [role=radio]') || one.querySelector('[type=radio]');
      let rank = said.startsWith('Next ') ? 2 : leads ? 1 : 0;
      if (ending.test(said) || one.matches('details[open] > summary')) rank = 3;
      if (rank < best.rank) Object.assign(best, { rank, how, said, one });
    }
  };
  // What is open in front of the page comes first.
  for (const where of ['[data-testid=stPopoverBody], [role=dialog]', '[data-testid=stMain]']) {
    if (!best.one) document.querySelectorAll(where).forEach(look);
  }
  window.control = best.one;
  return best.one ? [best.how, best.said, best.rank] : [null, '', best.rank];
}
"""
"""Kind, name and rank of the first control not among ``pressed``: switches of views have 1, what leads on 2, ends 3.

Of a grid of tiles two are pressed, which stand for the others, and of number fields the step buttons of one.
"""


def settle(page):
    """Wait until the page's script has answered all that it was asked."""
    page.wait_for_function("window.answered()", polling=40)  # not each frame: a browser at rest draws none


def find_next(page, pressed, last):
    """Kind and name of the next control; a view is left only after a second look at it. None where there is none."""
    for rest in (0, 300):
        page.wait_for_timeout(rest)
        settle(page)
        how, name, rank = page.evaluate(NEXT, {"pressed": pressed, "last": last})
        if rank == 0:
            break
    return (how, name) if how else None


def operate(page, how):
    """Press, choose, slide or type, as a hand would; return what hindered it: the control may be covered, or gone."""
    from playwright.sync_api import Error

    control = page.evaluate_handle("window.control").as_element()
    try:
        if how == "press":
            control.click(timeout=PATIENCE)
        elif how == "slide":
            control.press("ArrowRight", timeout=PATIENCE)
            control.press("ArrowLeft", timeout=PATIENCE)
        elif how == "select":
            control.select_option(index=0, timeout=PATIENCE)
        elif how == "mark":  # the box of a table's first row
            control.click(position={"x": 16, "y": 52}, force=True, timeout=PATIENCE)
        elif how == "choose":
            control.click(timeout=PATIENCE)
            control.press("ArrowDown", timeout=PATIENCE)
            control.press("Enter", timeout=PATIENCE)
        else:
            most = control.get_attribute("max") or None
            share = most is not None and 0 < float(most) <= 1
            control.fill("0.5" if share else "7", timeout=PATIENCE)
            control.press("Tab", timeout=PATIENCE)
    except Error as error:
        page.keyboard.press("Escape")
        return str(error).split("Call log")[0] + " ".join(re.findall(r"<.*intercepts.*", str(error))[:1])
    return ""
