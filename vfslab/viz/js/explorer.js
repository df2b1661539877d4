// The explorer of ext4 images in the browser: address line, history, maps with a cursor, bytes tied to their fields.
// Pages come from Python as HTML whose links carry data-address; nothing about ext4 is known here.

const make = (tag, props = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), props);
  for (const name of ["role", "aria-label", "aria-live", "aria-pressed"]) if (props[name]) node.setAttribute(name, props[name]);
  node.append(...children);
  return node;
};
const SVG = "http://www.w3.org/2000/svg";

export function render({el, data, ask, label, onPush}) {
  const back = make("button", {type: "button", title: "Back (Alt+Left)", textContent: "\u25c0", "aria-label": "Back"});
  const forth = make("button", {type: "button", title: "Forward (Alt+Right)", textContent: "\u25b6", "aria-label": "Forward"});
  const line = make("input", {type: "text", spellcheck: false, autocomplete: "off", "aria-label": "Address: block 35, inode 2, group 0, a path, byte 0x400",
    placeholder: "block 35, inode 2, group 0, /path, byte 0x400"});
  const form = make("form", {}, line, make("button", {type: "submit", textContent: "Go"}));
  const twinButton = make("button", {type: "button", textContent: "Text", title: "The same page as text", "aria-pressed": "false"});
  const ways = [["Superblock", "super"], ["Groups", "groups"], ["Map", "map"], ["Inodes", "inodes"], ["/", "/"], ["Help", "help"]]
    .map(([text, address]) => {
      const button = make("button", {type: "button", textContent: text});
      if (text === "/") button.setAttribute("aria-label", "Root directory");
      button.onclick = () => go(address, "page");
      return button;
    });
  const bar = make("div", {className: "vx-bar", role: "toolbar", "aria-label": "Explorer"}, back, forth, form, ...ways, twinButton);
  const chips = make("div", {className: "vx-chips", role: "group", "aria-label": "Pages of this chapter"});
  const side = make("div", {className: "vx-side", role: "group", "aria-label": "Overview", tabIndex: -1});
  const title = make("h3", {tabIndex: -1});
  const page = make("div", {className: "vx-page", role: "group", "aria-label": "Page", tabIndex: -1});
  const bytes = make("div", {className: "vx-bytes", role: "group", "aria-label": "Bytes"});
  const twin = make("pre", {className: "vx-twin", tabIndex: 0, hidden: true, role: "group", "aria-label": "Page as text"});
  const status = make("div", {className: "vx-status", role: "status", "aria-live": "polite"});
  const body = make("div", {className: "vx-body"}, side, page);
  const root = make("div", {className: "vx vx-live", role: "region", "aria-label": label}, bar, chips, body, bytes, twin, status);
  el.append(root);

  const history = [];
  let place = -1, shown = null, asked = 0, maps = new Map();

  // --- pages ---
  async function fetchPage(address) {
    const number = ++asked;
    page.setAttribute("aria-busy", "true");
    try {
      const answer = await ask("page", {address});
      return number === asked ? answer : null; // a later question overtook this one
    } catch (error) {
      status.textContent = "vfslab: " + error.message;
      return null;
    } finally {
      if (number === asked) page.removeAttribute("aria-busy");
    }
  }
  async function go(address, focus, remember = true) {
    const answer = await fetchPage(address);
    if (!answer) return;
    if (remember && history[place] !== answer.address) {
      history.splice(place + 1, Infinity, answer.address);
      place = history.length - 1;
    }
    show(answer, focus);
  }
  async function step(by) {
    if (!(place + by in history)) return;
    place += by;
    await go(history[place], "page", false);
  }
  function show(answer, focus) {
    shown = answer;
    if (answer.overview) showSide(answer.overview);
    line.value = answer.address;
    title.textContent = answer.title;
    page.innerHTML = answer.html;
    page.prepend(title);
    page.scrollTop = 0;
    bytes.innerHTML = answer.dump;
    twin.textContent = answer.text;
    back.disabled = place <= 0;
    forth.disabled = place >= history.length - 1;
    for (const chip of chips.children) {
      if (chip.textContent === answer.address) chip.setAttribute("aria-current", "page");
      else chip.removeAttribute("aria-current");
    }
    maps = new Map([...maps].filter(([name]) => name === "o"));
    for (const node of page.querySelectorAll("[data-cells]")) tieMap(node, answer.cells[node.dataset.cells]);
    tieBytes();
    maps.get("o")?.mark(answer.marks);
    status.textContent = answer.title;
    if (focus === "page") title.focus({preventScroll: true});
  }
  function showSide(overview) {
    side.innerHTML = overview.html;
    maps.delete("o");
    const node = side.querySelector("[data-cells]");
    if (node) tieMap(node, overview.cells, "o");
  }

  // --- maps: one tab stop each, arrows move a cursor from cell to cell ---
  function tieMap(node, cells, name = node.dataset.cells) {
    const svg = node.querySelector("svg.vx-cells"), over = svg.querySelector(".vx-over"), size = Number(svg.dataset.size);
    const told = node.querySelector(".vx-told"), plain = told.textContent, count = cells.letters.length;
    let at = 0;
    svg.tabIndex = 0;
    svg.setAttribute("role", "application");
    svg.setAttribute("aria-roledescription", "map");
    const out = size < 10 ? 2 : 0; // small cells are framed from outside
    // a frame around the cells from one to another, over several rows if need be
    const frame = (cls, low, high = low) => {
      const x0 = low % cells.columns * size, x1 = (high % cells.columns + 1) * size, wide = cells.columns * size;
      const y0 = Math.floor(low / cells.columns) * size, y1 = Math.floor(high / cells.columns) * size;
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("class", cls);
      path.setAttribute("d", y0 === y1
        ? `M${x0 - out} ${y0 - out}H${x1 + out}V${y0 + size + out}H${x0 - out}Z`
        : `M${x0 - out} ${y0 - out}H${wide + out}V${y1 + out}H${x1 + out}V${y1 + size + out}H${-out}V${y0 + size - out}H${x0 - out}Z`);
      return over.appendChild(path);
    };
    const address = (cell) => {
      const first = cells.first + cell * cells.per;
      return cells.per === 1 ? `${cells.unit} ${first}` : `${cells.unit}s ${first}-${Math.min(first + cells.per - 1, cells.last)}`;
    };
    const words = (cell) => {
      const fill = Number(cells.fill[cell]);
      return `${address(cell)}: ${cells.names[cells.letters[cell]] ?? "?"}` + (cells.per > 1 && fill % 8 ? `, ${fill * 12.5} % in use` : "");
    };
    const clear = () => over.querySelectorAll(".vx-cursor").forEach((old) => old.remove());
    const point = (cell, loud) => {
      at = Math.max(0, Math.min(count - 1, cell));
      clear();
      frame("vx-cursor", at);
      told.textContent = words(at);
      if (loud) status.textContent = words(at);
    };
    const under = (event) => {
      const box = svg.getBoundingClientRect(), scale = cells.columns * size / box.width;
      const x = Math.floor((event.clientX - box.left) * scale / size), y = Math.floor((event.clientY - box.top) * scale / size);
      const cell = y * cells.columns + x;
      return x >= 0 && x < cells.columns && cell >= 0 && cell < count ? cell : -1;
    };
    const moves = {ArrowLeft: -1, ArrowRight: 1, ArrowUp: -cells.columns, ArrowDown: cells.columns, PageUp: -8 * cells.columns, PageDown: 8 * cells.columns};
    svg.addEventListener("keydown", (event) => {
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      if (event.key in moves) {
        const next = at + moves[event.key];
        if (Math.abs(moves[event.key]) === 1 || (next >= 0 && next < count)) point(next, true);
      } else if (event.key === "Home") point(0, true);
      else if (event.key === "End") point(count - 1, true);
      else if (event.key === "Enter" || event.key === " ") go(address(at), name === "o" ? null : "page");
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    svg.addEventListener("focus", () => { if (svg.matches(":focus-visible")) point(at, true); });
    svg.addEventListener("blur", () => { clear(); told.textContent = plain; });
    svg.addEventListener("mousemove", (event) => { const cell = under(event); if (cell >= 0) point(cell, false); });
    svg.addEventListener("mouseleave", () => { if (document.activeElement !== svg) { clear(); told.textContent = plain; } });
    svg.addEventListener("click", (event) => { const cell = under(event); if (cell >= 0) { at = cell; go(address(cell), name === "o" ? null : "page"); } });
    // runs of blocks that the page is about, framed in black and white so that they show on each colour
    const mark = (ranges) => {
      over.querySelectorAll(".vx-mark, .vx-mark2").forEach((old) => old.remove());
      for (const [low, high] of ranges) {
        const start = Math.max(0, Math.floor((low - cells.first) / cells.per));
        const end = Math.min(count - 1, Math.floor((high - cells.first) / cells.per));
        if (end < start || end - start >= count - 1 || over.childElementCount > 400) continue; // nothing, all, or too many
        frame("vx-mark", start, end);
        frame("vx-mark2", start, end);
      }
    };
    maps.set(name, {mark});
  }

  // --- bytes: a field and its bytes light up together ---
  function tieBytes() {
    const rows = [...bytes.querySelectorAll(".vx-fields tr[data-f]")];
    const pieces = new Map();
    for (const piece of bytes.querySelectorAll(".vx-hex s[data-f]")) {
      if (!pieces.has(piece.dataset.f)) pieces.set(piece.dataset.f, []);
      pieces.get(piece.dataset.f).push(piece);
    }
    let lit = null;
    const light = (field) => {
      if (field === lit) return;
      bytes.querySelectorAll(".vx-on").forEach((node) => node.classList.remove("vx-on"));
      lit = field;
      if (field == null) return;
      (pieces.get(field) ?? []).forEach((node) => node.classList.add("vx-on"));
      rows[field]?.classList.add("vx-on");
    };
    const reveal = (node) => { // inside its own box only: the notebook must not jump
      const box = node.closest(".vx-hex, .vx-fields");
      const gap = node.getBoundingClientRect().top - box.getBoundingClientRect().top;
      if (gap < 24 || gap > box.clientHeight - 24) box.scrollTop += gap - box.clientHeight / 2;
    };
    const field = (event) => event.target.closest?.("[data-f]")?.dataset.f ?? null;
    const words = (row) => [...row.cells].map((cell) => cell.textContent).filter(Boolean).join("  ");
    bytes.onmouseover = (event) => {
      const number = field(event);
      light(number);
      if (number != null && rows[number]) status.textContent = words(rows[number]);
    };
    bytes.onmouseleave = () => {
      light(document.activeElement?.closest?.("tr[data-f]")?.dataset.f ?? null);
      status.textContent = shown.title;
    };
    bytes.onfocusin = (event) => {
      const number = field(event);
      light(number);
      if (number != null && pieces.has(number)) reveal(pieces.get(number)[0]);
    };
    bytes.onclick = (event) => {
      const piece = event.target.closest(".vx-hex s[data-f]");
      if (!piece || !rows[piece.dataset.f]) return;
      reveal(rows[piece.dataset.f]);
      choose(rows[piece.dataset.f]);
    };
    const choose = (row) => {
      rows.forEach((other) => { other.tabIndex = other === row ? 0 : -1; });
      row.focus({preventScroll: true});
      reveal(row);
    };
    bytes.onkeydown = (event) => {
      const row = event.target.closest?.("tr[data-f]");
      if (!row || event.target !== row) return;
      const at = rows.indexOf(row);
      const next = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1}[event.key];
      if (next !== undefined) {
        if (rows[next]) choose(rows[next]);
      } else if (event.key === "Enter") row.querySelector("a[data-address]")?.click();
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    if (rows.length) rows[0].tabIndex = 0;
    const marked = bytes.querySelector(".vx-hex mark"), told = bytes.querySelector(".vx-marked");
    if (marked) reveal(marked);
    if (told) reveal(told);
  }

  // --- everything that is pressed ---
  root.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-address]");
    if (!link) return;
    event.preventDefault();
    event.stopPropagation();
    go(link.dataset.address, "page");
  });
  root.addEventListener("keydown", (event) => {
    event.stopPropagation(); // the notebook's own keys end here
    if (event.altKey && event.key === "ArrowLeft") step(-1);
    else if (event.altKey && event.key === "ArrowRight") step(1);
    else if (event.key === "/" && event.target !== line) { line.focus(); line.select(); }
    else return;
    event.preventDefault();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    event.stopPropagation();
    go(line.value, null).then(() => line.select());
  });
  back.onclick = () => step(-1);
  forth.onclick = () => step(1);
  twinButton.onclick = () => {
    const on = twin.hidden;
    twin.hidden = !on;
    body.hidden = bytes.hidden = on;
    twinButton.setAttribute("aria-pressed", String(on));
  };
  for (const address of data.pages) {
    const chip = make("button", {type: "button", textContent: address});
    chip.onclick = () => go(address, "page");
    chips.append(chip);
  }
  chips.hidden = !data.pages.length;

  showSide(data.overview);
  history.push(data.page.address);
  place = 0;
  show(data.page, null);
  onPush((pushed) => { if (pushed.go) go(pushed.go, null); });
}
