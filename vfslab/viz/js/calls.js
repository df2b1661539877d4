/* The call tree of a timeline, and the small helpers that all parts of the widget use. Comes before timeline.js in one module. */

/* -- small helpers ---------------------------------------------------------------------------------- */

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const ICONS = {
  first: "M4 3v10M13 3L6 8l7 5z", back: "M11 3L4 8l7 5z", next: "M5 3l7 5-7 5z", last: "M12 3v10M3 3l7 5-7 5z",
  less: "M3 8h10", more: "M3 8h10M8 3v10", fit: "M3 6V3h3M10 3h3v3M13 10v3h-3M6 13H3v-3",
};

function button(name, label, action, icon = ICONS[name]) {
  const node = make("button", {type: "button", title: label, "aria-label": label, class: `v-b-${name}`, onclick: action});
  node.innerHTML = `<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="${icon}"/></svg>`;
  return node;
}

const clip = (text, room) => {
  const safe = [...text].map((c) => (c < " " || (c >= "\x7f" && c < "\xa0") ? "·" : c));
  return safe.length <= room ? safe.join("") : safe.slice(0, Math.max(room - 1, 0)).join("") + "…";
};

/* -- the call tree ---------------------------------------------------------------------------------- */

const MOST_ROWS = 60;             // at first, deeper calls are folded until no more rows are left than these

/** Who called whom. A folded call is stepped over. go(step) moves the film, say(text) tells the reader something. */
class Calls {
  constructor(calls, more, go, say) {
    Object.assign(this, {calls, go, say});
    this.shut = new Set();
    this.callOf = new Map();      // step: number of the call that begins or ends there
    calls.forEach((call, number) => [call.first, call.last].forEach((step) => step !== null && this.callOf.set(step, number)));
    calls.forEach((call) => call.parent !== null && (calls[call.parent].children = true));
    this.foldToFit();
    this.items = calls.map((call, number) => this.build(call, number));
    this.tree = make("div", {class: "v-tree", role: "tree", "aria-label": "Calls", onkeydown: (event) => this.key(event)}, ...this.items);
    if (more) this.tree.append(make("p", {class: "v-soft"}, `and ${more} more calls`));
    this.show();
  }

  foldToFit() {
    const deepest = this.calls.reduce((depth, call) => Math.max(depth, call.depth), 0);
    for (let depth = deepest; depth > 1 && this.calls.filter((call) => call.depth <= depth).length > MOST_ROWS; depth--)
      this.calls.forEach((call, number) => call.depth === depth - 1 && call.children && this.shut.add(number));
  }

  build(call, number) {
    const outcome = call.error ? make("span", {class: "v-error", title: call.words}, `-${call.error}`) : null;
    const toggle = make("span", {class: "v-toggle", "aria-hidden": "true", onclick: (event) => { event.stopPropagation(); this.fold(number); }});
    const ended = call.error ? `\n${call.words}` : call.result ? `\nreturns ${call.result}` : "";
    return make("div", {class: "v-call", role: "treeitem", tabindex: number ? -1 : 0, "aria-level": call.depth + 1,
      "aria-label": `${call.function}${call.error ? `, fails with ${call.words}` : ""}`, title: `${call.function}(${call.args})\n${call.where}${ended}`,
      style: `--depth:${call.depth}`, onclick: () => { this.rove(number); this.begin(number); }},
      toggle, make("span", {class: "v-name"}, call.function), make("span", {class: "v-args"}, call.short), outcome);
  }

  show() {
    this.calls.forEach((call, number) => {
      const item = this.items[number];
      item.hidden = !this.inTree(number);
      if (call.children) item.setAttribute("aria-expanded", String(!this.shut.has(number)));
    });
  }

  above(number) {
    const found = [];
    for (let up = this.calls[number].parent; up !== null; up = this.calls[up].parent) found.push(up);
    return found;
  }

  inTree(number) {
    return !this.above(number).some((up) => this.shut.has(up));
  }

  /** True if a step is not inside a folded call. */
  shows(step) {
    const number = this.callOf.get(step);
    return number === undefined || this.inTree(number);
  }

  fold(number, open = this.shut.has(number)) {
    open ? this.shut.delete(number) : this.shut.add(number);
    this.show();
  }

  begin(number) {
    const {first} = this.calls[number];
    if (first !== null) this.go(first);
    else this.say("This call has no picture: it is outside of the steps that were kept.");
  }

  rove(number) {
    this.items.forEach((item, other) => item.setAttribute("tabindex", other === number ? 0 : -1));
    this.items[number].focus({preventScroll: true});
  }

  key(event) {
    const number = this.items.indexOf(event.target);
    if (number < 0) return;
    const call = this.calls[number];
    const shown = this.items.map((_, other) => other).filter((other) => !this.items[other].hidden);
    const place = shown.indexOf(number);
    const to = {
      ArrowDown: () => shown[place + 1], ArrowUp: () => shown[place - 1], Home: () => shown[0], End: () => shown.at(-1),
      ArrowRight: () => call.children && (this.shut.has(number) ? void this.fold(number, true) : shown[place + 1]),
      ArrowLeft: () => (call.children && !this.shut.has(number) ? void this.fold(number, false) : call.parent),
      Enter: () => void this.begin(number), " ": () => void this.begin(number),
    }[event.key];
    if (!to) return;
    event.preventDefault();
    event.stopPropagation();
    const target = to();
    if (typeof target !== "number") return;
    this.rove(target);
    this.items[target].scrollIntoView({block: "nearest"});
  }

  /** Mark the call of a step, those it lies in, those that are over, those still to come; bring it into view. */
  draw(step) {
    const current = this.callOf.get(step), above = current === undefined ? [] : this.above(current), open = new Set(above);
    if (above.some((up) => this.shut.has(up))) { above.forEach((up) => this.shut.delete(up)); this.show(); }
    this.calls.forEach((call, number) => {
      const {classList} = this.items[number];
      classList.toggle("v-current", number === current);
      classList.toggle("v-returns", number === current && call.last === step);
      classList.toggle("v-open", open.has(number));
      classList.toggle("v-later", call.first === null || call.first > step);
      number === current ? this.items[number].setAttribute("aria-current", "step") : this.items[number].removeAttribute("aria-current");
    });
    if (current === undefined) return;
    const {tree} = this, top = this.items[current].offsetTop - tree.offsetTop;
    tree.scrollLeft = Math.max(0, this.calls[current].depth * 12 - 60);
    if (top < tree.scrollTop + 24 || top > tree.scrollTop + tree.clientHeight - 48) tree.scrollTop = top - tree.clientHeight / 2;
  }
}

