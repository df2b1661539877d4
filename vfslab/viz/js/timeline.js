/* A film in the browser: the calls on one side, the objects on the other, and a slider through all steps.

   data.svg      one drawing of everything that is ever there, all of it hidden
   data.steps    for each step what differs from the step before: {part: text or null}
   data.marks    for each step the parts that just changed
   A part is a box "3", its row "3.1", what the running function calls it "3t", an arrow "e7" (see viz/union.py).

   Stepping shows, hides and relabels parts of that one drawing. The kernel is asked for nothing but details.
   Comes after calls.js in one module. */

const EVERY = 25;                 // a full state is kept for so many steps, to jump quickly
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export function render(given) {
  const film = new Film(given);
  film.build();
  film.goto(given.data.step, {quiet: true});
  given.onPush(({step}) => step !== undefined && film.goto(step, {quiet: true}));
  return () => film.end();
}

/* -- what is there at a step ------------------------------------------------------------------------ */

/** The state of every step: a Map {part: text}, made from the differences. */
export class States {
  constructor(steps) {
    this.steps = steps;
    this.kept = [];
  }
  at(step) {
    const place = Math.floor(step / EVERY);
    while (this.kept.length <= place) {
      const from = this.kept.length;
      this.kept.push(from === 0 ? this.forward(new Map(), 0, 0) : this.forward(new Map(this.kept[from - 1]), (from - 1) * EVERY + 1, from * EVERY));
    }
    return this.forward(new Map(this.kept[place]), place * EVERY + 1, step);
  }
  forward(state, first, last) {
    for (let step = first; step <= last && step < this.steps.length; step++)
      for (const [part, text] of Object.entries(this.steps[step])) text === null ? state.delete(part) : state.set(part, text);
    return state;
  }
}

/* -- the widget ------------------------------------------------------------------------------------- */

class Film {
  constructor({el, data, ask, label}) {
    Object.assign(this, {el, data, ask, label});
    this.count = data.steps.length;
    this.states = new States(data.steps);
    this.state = new Map();
    this.step = -1;
    this.scale = 1;
    this.chosen = null;           // the box whose details are shown
      }

  build() {
    const {data} = this;
    this.status = make("p", {class: "v-status", role: "status", "aria-live": "polite"});
    this.main = make("div", {class: "v-main"}, this.buildCalls(), this.buildStage());
    this.root = make("section", {class: "vfslab-face vfslab-timeline", "aria-label": this.label, "data-lm-suppress-shortcuts": "true",
      onkeydown: (event) => this.key(event), onpointerdown: (event) => this.help.contains(event.target) || (this.help.open = false)},
      make("header", {class: "v-top"}, make("strong", {}, data.title), this.count > 1 ? make("span", {class: "v-soft"}, this.label.slice(data.title.length + 2)) : null, this.buildHelp()),
      this.buildBar(), this.status, this.main, this.buildDetails());
    if (!this.count) this.status.textContent = "Nothing was traced.";
    this.el.append(this.root);
    this.watcher = new ResizeObserver(() => this.fitted && this.fit(this.least));
    this.watcher.observe(this.stage);
    this.fit(0.62);
  }

  end() {
    this.watcher.disconnect();
    cancelAnimationFrame(this.moving);
    this.root.remove();
  }

  buildCalls() {
    if (!this.data.calls?.length) return null;
    this.calls = new Calls(this.data.calls, this.data.more, (step) => this.goto(step), (text) => this.say(text));
    return this.calls.tree;
  }

  buildBar() {
    const {data} = this;
    this.slider = make("input", {type: "range", min: 1, max: Math.max(this.count, 1), value: 1, "aria-label": "Step",
      oninput: () => this.goto(Number(this.slider.value) - 1)});
    this.counter = make("output", {class: "v-counter"});
    this.buttons = {
      first: button("first", "First step (Home)", () => this.goto(0)), back: button("back", "Step back (left arrow)", () => this.move(-1)),
      next: button("next", "Step forward (right arrow)", () => this.move(1)), last: button("last", "Last step (End)", () => this.goto(this.count - 1)),
    };
    const steps = make("div", {class: "v-steps", role: "group", "aria-label": "Steps"},
      this.buttons.first, this.buttons.back, this.buttons.next, this.buttons.last, this.slider, this.counter);
    this.tabled = make("button", {type: "button", "aria-pressed": "false", title: "The same content as a table", onclick: () => this.showTable()}, "Table");
    this.listed = make("button", {type: "button", "aria-pressed": "true", title: "Show the calls beside the picture", onclick: () => this.showCalls()}, "Calls");
    const look = make("div", {class: "v-look", role: "group", "aria-label": "Look"}, data.calls?.length ? this.listed : null,
      button("less", "Smaller", () => this.zoom(this.scale / 1.2)), button("fit", "Fit to the width", () => this.fit()),
      button("more", "Larger", () => this.zoom(this.scale * 1.2)), this.tabled);
    return make("div", {class: "v-bar"}, this.count > 1 ? steps : null, this.count > 1 ? this.buildFinders() : null, look);
  }

  buildHelp() {
    const lines = [
      ["solid arrow", "holds a reference: the target cannot go away"], ["dashed arrow", "a pointer without a reference"],
      ["dark bar, tint", "just changed; the thin dotted arrow shows where it pointed before"], ["thick border", "new in sight"],
      ["dashed, faint box", "gone: freed, or no open function leads to it any more"], ["blue flag", "the name by which the running function knows the object"],
    ];
    if (this.count > 1) lines.push(["← → Home End", "one step, first, last; a folded call is stepped over"], ["Tab, Enter", "from object to object; details of one"]);
    const list = make("dl", {}, ...lines.flatMap(([sign, meaning]) => [make("dt", {}, sign), make("dd", {}, meaning)]));
    return this.help = make("details", {class: "v-help"}, make("summary", {}, this.count > 1 ? "Signs and keys" : "Signs"), list);
  }

  buildFinders() {
    this.query = make("input", {type: "search", placeholder: "Search", "aria-label": "Search calls, arguments, errors and values; Enter goes to the next match",
      onkeydown: (event) => event.key === "Enter" && this.find(event.shiftKey ? -1 : 1)});
    this.hits = make("span", {class: "v-soft v-hits"});
    const finders = make("div", {class: "v-find", role: "group", "aria-label": "Find"}, this.query, this.hits);
    const watches = Object.entries(this.data.watches ?? {});
    if (watches.length) {
      this.watch = make("select", {"aria-label": "Member to watch"},
        ...watches.map(([name, steps]) => make("option", {value: name}, `${name} (${steps.length})`)));
      const go = (way) => this.jump(this.data.watches[this.watch.value], way, `change of ${this.watch.value}`);
      finders.append(make("span", {class: "v-pair"}, make("span", {class: "v-soft", "aria-hidden": "true"}, "change of"), this.watch,
        make("button", {type: "button", title: "Previous change", "aria-label": "Previous change of the chosen member", onclick: () => go(-1)}, "‹"),
        make("button", {type: "button", title: "Next change", "aria-label": "Next change of the chosen member", onclick: () => go(1)}, "›")));
    }
    return finders;
  }

  /* -- the picture -- */

  buildStage() {
    this.stage = make("div", {class: "v-stage", tabindex: -1, "aria-label": this.data.alt});
    this.stage.innerHTML = this.data.svg;
    this.svg = this.stage.firstElementChild;
    this.svg.setAttribute("aria-label", "Objects");
    this.width = Number(this.svg.getAttribute("width"));
    this.height = Number(this.svg.getAttribute("height"));
    this.box = [...this.svg.querySelectorAll("[data-b]")];
    this.edge = [...this.svg.querySelectorAll("[data-e]")];
    this.box.forEach((node, number) => {
      node.title = node.querySelector(".v-title");
      node.rows = [...node.querySelectorAll(".v-row")].map((row) => Object.assign(row, {value: row.querySelector(".v-value"), room: Number(row.dataset.room)}));
      node.tag = node.querySelector(".v-tag");
      node.addEventListener("click", () => this.choose(number));
      node.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== " ") return;
        event.preventDefault();
        this.choose(number);
      });
    });
    this.edge.forEach((node) => (node.way = node.querySelector(".v-way")));
    this.table = make("div", {class: "v-table", hidden: true});
    return make("div", {class: "v-side"}, this.stage, this.table);
  }

  /* All of the width; at first not smaller than can be read: what happens is scrolled into view. */
  fit(least = 0.2) {
    this.fitted = true;
    this.least = least;
    const room = this.stage.clientWidth - 4;
    if (room > 0) this.zoom(Math.min(1, Math.max(least, room / this.width)), true);
    const tall = this.height * this.scale + 22, least_tall = this.calls ? 380 : 120;
    if (!this.sized && room > 0) this.main.style.height = `${Math.max(least_tall, Math.min(470, tall))}px`;
    this.sized ||= room > 0;   // from then on the reader may drag the lower edge
  }

  zoom(scale, fitted = false) {
    this.fitted = fitted;
    this.scale = Math.min(3, Math.max(0.2, scale));
    this.svg.setAttribute("width", this.width * this.scale);
    this.svg.setAttribute("height", this.height * this.scale);
  }

  /* -- stepping -- */

  key(event) {
    const typing = event.target.closest("input, select");
    if (typing && typing !== this.slider || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = {ArrowRight: () => this.move(1), ArrowLeft: () => this.move(-1), ...typing && {ArrowUp: () => this.move(1), ArrowDown: () => this.move(-1)}, Home: () => this.goto(0), End: () => this.goto(this.count - 1),
      PageDown: () => this.goto(this.step + 10), PageUp: () => this.goto(this.step - 10), Escape: () => { this.help.open = false; this.choose(null); }}[event.key];
    if (!action || this.count < 2 && event.key !== "Escape") return;
    event.preventDefault();
    action();
  }

  move(way) {
    let step = this.step + way;
    while (this.calls && step > 0 && step < this.count - 1 && !this.calls.shows(step)) step += way;
    this.goto(step);
  }

  jump(steps, way, what) {
    const places = way > 0 ? steps.filter((step) => step > this.step) : steps.filter((step) => step < this.step).reverse();
    if (places.length) this.goto(places[0]);
    else this.say(`No ${way > 0 ? "later" : "earlier"} ${what}.`);
  }

  goto(step, {quiet = false} = {}) {
    step = Math.max(0, Math.min(step, this.count - 1));
    if (!this.count || step === this.step) return;
    const before = this.state, near = Math.abs(step - this.step) === 1 && this.step >= 0;
    const forward = step > this.step;
    this.state = this.states.at(step);
    this.step = step;
    this.draw(before, near && forward ? this.data.gone[step] ?? {} : {}, near);
    this.tell();
    this.calls?.draw(this.step);
    if (!this.table.hidden) this.drawTable();
    if (this.chosen !== null) this.details();
    if (!quiet) {
      clearTimeout(this.telling);
      this.telling = setTimeout(() => this.ask("step", {step: this.step}).catch(() => {}), 200);
    }
  }

  draw(before, gone, near) {
    const {state, svg} = this;
    cancelAnimationFrame(this.moving);
    this.edge.forEach((node) => node.still && node.way.setAttribute("d", node.still));
    svg.querySelectorAll(".v-changed, .v-new, .v-gone, .v-was").forEach((node) => node.classList.remove("v-changed", "v-new", "v-gone", "v-was"));
    for (const part of before.keys()) if (!state.has(part)) this.set(part, null);
    for (const [part, text] of state) if (before.get(part) !== text || this.stale?.has(part)) this.set(part, text);
    this.stale = new Set();
    for (const part of this.data.marks[this.step]) this.part(part)?.classList.add(part.includes(".") ? "v-changed" : "v-new");
    this.ghosts(gone);
    this.arrows(before, near);
    this.stage.classList.toggle("v-empty", !state.size);
    this.follow();
  }

  part(part) {
    const [box, row] = part.split(".");
    return row === undefined ? this.box[box] : this.box[box].rows[row];
  }

  set(part, text) {
    if (part[0] === "e") return void this.edge[part.slice(1)].classList.toggle("v-off", text === null);
    if (part.endsWith("t")) return this.setTag(this.box[part.slice(0, -1)].tag, text);
    const [number, row] = part.split(".");
    const node = this.box[number];
    if (row === undefined) {
      node.classList.toggle("v-off", text === null);
      if (text === null) return;
      node.title.textContent = clip(text, Number(node.dataset.room));
      node.setAttribute("aria-label", text);
    } else {
      node.rows[row].classList.toggle("v-off", text === null);
      node.rows[row].value.textContent = clip(text ?? "", node.rows[row].room);
    }
  }

  setTag(tag, text) {
    tag.classList.toggle("v-off", !text);
    tag.lastElementChild.textContent = text ?? "";
    tag.firstElementChild.setAttribute("width", text ? text.length * 6.7 + 10 : 0);
  }

  /* What went with this step stays as a shadow until the next one. */
  ghosts(gone) {
    for (const [key, why] of Object.entries(gone)) {
      const number = this.data.boxes.findIndex((box) => box.key === key);
      if (number < 0) continue;
      const node = this.box[number];
      node.classList.remove("v-off");
      node.classList.add("v-gone");
      this.setTag(node.tag, why);
      this.stale.add(String(number)).add(`${number}t`);
      this.hideNext = number;
    }
    for (const [key] of Object.entries(this.shadows ?? {})) {
      const number = this.data.boxes.findIndex((box) => box.key === key);
      if (number >= 0 && !this.state.has(String(number)) && !(key in gone)) {
        this.box[number].classList.add("v-off");
        this.setTag(this.box[number].tag, null);
      }
    }
    this.shadows = gone;
  }

  /* An arrow of a row that changed is strong; where it pointed before stays as a shadow, and the new one moves from there. */
  arrows(before, near) {
    const marks = new Set(this.data.marks[this.step]);
    const moved = new Map();
    this.data.edges.forEach(([tail, row], number) => {
      const part = `e${number}`, was = before.has(part), is = this.state.has(part);
      if (row < 0 || !marks.has(`${tail}.${row}`)) return;
      if (is) this.edge[number].classList.add("v-changed");
      if (near && was !== is) {
        const pair = moved.get(`${tail}.${row}`) ?? {};
        pair[is ? "to" : "from"] = this.edge[number];
        moved.set(`${tail}.${row}`, pair);
      }
    });
    const pairs = [...moved.values()].filter((pair) => pair.from && pair.to);
    pairs.forEach(({from}) => { from.classList.remove("v-off"); from.classList.add("v-was"); });
    this.was?.forEach((node) => !node.classList.contains("v-was") && node.classList.toggle("v-off", !this.state.has(`e${node.dataset.e}`)));
    this.was = pairs.map(({from}) => from);
    if (pairs.length && pairs.length <= 12 && !calm.matches) this.glide(pairs);
  }

  glide(pairs) {
    const points = (way, count = 20) => { const length = way.getTotalLength(); return Array.from({length: count + 1}, (_, i) => way.getPointAtLength((length * i) / count)); };
    const plans = pairs.map(({from, to}) => { to.still = to.way.getAttribute("d"); return {to, a: points(from.way), b: points(to.way)}; });
    const began = performance.now();
    const frame = (now) => {
      const t = Math.min(1, (now - began) / 280), ease = t * t * (3 - 2 * t);
      for (const {to, a, b} of plans)
        to.way.setAttribute("d", t >= 1 ? to.still : "M" + a.map((p, i) => `${p.x + (b[i].x - p.x) * ease} ${p.y + (b[i].y - p.y) * ease}`).join("L"));
      if (t < 1) this.moving = requestAnimationFrame(frame);
    };
    this.moving = requestAnimationFrame(frame);
  }

  /* Keep what changed, or what the function was given, in view. */
  follow() {
    const seen = [...new Set(this.data.marks[this.step].map((part) => this.box[part.split(".")[0]]))];
    if (this.stage.hidden) return;
    const outer = this.stage.getBoundingClientRect();
    let nodes = seen.length ? seen : this.box.filter((_, number) => this.state.has(`${number}t`));
    if (!nodes.length) {  // nothing to look at in particular: but something should be seen
      const there = this.box.filter((_, number) => this.state.has(String(number)));
      const inView = (node) => { const r = node.getBoundingClientRect(); return r.left < outer.right && r.right > outer.left && r.top < outer.bottom && r.bottom > outer.top; };
      nodes = there.some(inView) ? [] : there.slice(0, 1);
    }
    if (!nodes.length) return;
    const rects = nodes.map((node) => node.getBoundingClientRect());
    const left = Math.min(...rects.map((r) => r.left)), right = Math.max(...rects.map((r) => r.right));
    const top = Math.min(...rects.map((r) => r.top)), bottom = Math.max(...rects.map((r) => r.bottom));
    const shift = (low, high, from, to) => (low >= from && high <= to ? 0 : high - low > to - from ? low - from - 10 : (low + high - from - to) / 2);
    const x = shift(left, right, outer.left, outer.right), y = shift(top, bottom, outer.top, outer.bottom);
    if (x || y) this.stage.scrollBy({left: x, top: y, behavior: calm.matches ? "auto" : "smooth"});
  }

  /* -- in words -- */

  changes() {
    const marks = this.data.marks[this.step], title = (number) => this.state.get(String(number)) ?? this.data.boxes[number].key;
    const fresh = marks.filter((part) => !part.includes(".")), seen = new Set(fresh);
    const changed = marks.filter((part) => part.includes(".") && !seen.has(part.split(".")[0])).map((part) => {
      const [box, row] = part.split(".");
      return `${title(box)} ${this.data.boxes[box].rows[row]} = ${this.state.get(part) || "…"}`;
    });
    const told = [];
    const list = (items) => items.slice(0, 3).join("; ") + (items.length > 3 ? ` and ${items.length - 3} more` : "");
    if (changed.length) told.push(`Changed: ${list(changed)}.`);
    if (fresh.length) told.push(`New in sight: ${list(fresh.map(title))}.`);
    const gone = Object.entries(this.data.gone[this.step] ?? {});
    const named = (wanted) => gone.filter(([, why]) => (why === "freed") === wanted).map(([key]) => key.split("@")[0]);
    const freed = named(true), hidden = named(false);
    if (freed.length) told.push(`Freed: ${list(freed)}.`);
    if (hidden.length) told.push(`Out of sight: ${list(hidden)}.`);
    return told.join(" ");
  }

  tell() {
    const note = this.data.notes[this.step], place = `Step ${this.step + 1} of ${this.count}`;
    this.slider.value = this.step + 1;
    this.slider.setAttribute("aria-valuetext", `${place}: ${note}`);
    this.counter.textContent = `${this.step + 1} / ${this.count}`;
    this.buttons.first.disabled = this.buttons.back.disabled = this.step === 0;
    this.buttons.next.disabled = this.buttons.last.disabled = this.step === this.count - 1;
    this.status.replaceChildren(make("b", {class: / fails with /.test(note) ? "v-error" : ""}, note), make("span", {}, this.changes()));
    this.status.hidden = !this.status.textContent.trim();
  }

  say(text) {
    this.status.hidden = false;
    this.status.replaceChildren(text);
  }

  find(way) {
    const wanted = this.query.value.trim().toLowerCase();
    if (!wanted) return;
    const has = (text) => text !== null && text.toLowerCase().includes(wanted);
    const steps = this.data.steps.map((change, step) => step).filter((step) =>
      has(this.data.notes[step]) || Object.entries(this.data.steps[step]).some(([part, text]) => part[0] !== "e" && has(text)));
    this.jump(steps, way, `match of “${this.query.value}”`);
    const place = steps.indexOf(this.step);
    this.hits.textContent = steps.length ? `${place >= 0 ? place + 1 : "–"} of ${steps.length}` : "no match";
  }

  showCalls() {
    const {tree} = this.calls;
    tree.hidden = !tree.hidden;
    this.listed.setAttribute("aria-pressed", String(!tree.hidden));
  }

  /* -- the table: the same content -- */

  showTable() {
    const on = this.table.hidden;
    this.table.hidden = !on;
    this.stage.hidden = on;
    this.tabled.setAttribute("aria-pressed", String(on));
    if (on) this.drawTable();
    else if (this.fitted) this.fit(this.least);
  }

  drawTable() {
    const marks = new Set(this.data.marks[this.step]), heads = new Map();
    this.data.edges.forEach(([tail, row, head], number) => this.state.has(`e${number}`) && heads.set(`${tail}.${row}`, this.state.get(String(head))));
    const body = make("tbody");
    this.data.boxes.forEach((box, number) => {
      if (!this.state.has(String(number))) return;
      const tag = this.state.get(`${number}t`);
      const fresh = marks.has(String(number));
      body.append(make("tr", {class: "v-object"}, make("th", {scope: "rowgroup", colspan: 3},
        make("button", {type: "button", onclick: () => this.choose(number)}, this.state.get(String(number))), tag ? ` known as ${tag}` : "", fresh ? " (new in sight)" : "")));
      box.order.forEach((row) => {
        const part = `${number}.${row}`, name = box.rows[row];
        if (!this.state.has(part)) return;
        const changed = marks.has(part) && !fresh;
        body.append(make("tr", {class: changed ? "v-changed" : undefined}, make("th", {scope: "row"}, name), make("td", {}, this.state.get(part)),
          make("td", {}, heads.get(part) ?? "", changed ? " (changed)" : "")));
      });
    });
    this.table.replaceChildren(make("table", {}, make("caption", {}, `Objects in sight: ${this.data.notes[this.step] || this.data.title}`),
      make("thead", {}, make("tr", {}, ...["member", "value", "points to"].map((name) => make("th", {scope: "col"}, name)))), body));
  }

  /* -- details of one object -- */

  buildDetails() {
    this.detail = make("aside", {class: "v-detail", hidden: true, "aria-label": "Details"});
    return this.detail;
  }

  choose(number) {
    this.box.forEach((node, other) => node.classList.toggle("v-chosen", other === number));
    const back = this.chosen;
    this.chosen = number;
    this.detail.hidden = number === null;
    if (number !== null) this.details();
    else if (back !== null && this.detail.contains(document.activeElement)) this.box[back].focus();
  }

  details() {
    const number = this.chosen, {key, rows, order} = this.data.boxes[number], step = this.step;
    const there = this.state.has(String(number));
    const close = make("button", {type: "button", "aria-label": "Close details (Escape)", title: "Close (Escape)", onclick: () => this.choose(null)}, "×");
    const list = make("dl");
    order.forEach((row) => {
      const part = `${number}.${row}`, name = rows[row];
      if (!this.state.has(part)) return;
      const steps = this.data.marks.flatMap((marks, at) => (marks.includes(part) ? [at] : []));
      const go = (way) => this.jump(steps, way, `change of ${name}`);
      list.append(make("dt", {}, name), make("dd", {}, this.state.get(part) || "→", steps.length && this.count > 1 ? make("span", {class: "v-pair"},
        make("button", {type: "button", "aria-label": `Previous change of ${name}`, title: "Previous change", onclick: () => go(-1)}, "‹"),
        make("button", {type: "button", "aria-label": `Next change of ${name}`, title: "Next change", onclick: () => go(1)}, "›")) : null));
    });
    const more = make("div", {class: "v-more"});
    this.detail.replaceChildren(make("header", {}, make("strong", {}, there ? this.state.get(String(number)) : key), close),
      there ? list : make("p", {class: "v-soft"}, "Not in sight at this step."), more);
    if (!there) return;
    this.ask("details", {step, key}).then((told) => {
      if (this.step !== step || this.chosen !== number) return;
      if (told.about) more.append(make("p", {class: "v-soft"}, told.about));
      for (const {name, lines} of told.bytes ?? []) more.append(make("p", {}, `${name}, the first bytes`), make("pre", {tabindex: 0, "aria-label": `Bytes of ${name}`}, lines.join("\n")));
    }).catch(() => {});
  }
}
