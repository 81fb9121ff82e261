// <film-viewer>: a radiograph on a canvas, with zoom, pan, window and level, and its heat map over it or beside it.
// The film comes twice: at once as the picture in its first <img>, then in full depth and resolution by `load`.
// On a phone its stage and its toolbar lie in the page's own column, with the result between them: see style.css.
// It needs film_pixels.js before it. Its words are the JSON in #viewer-words; the caption of the map names the film for those who cannot see it.
const KEPT = { map: null, layout: 'overlay', opacity: 0.6 }; // the visitor's choices, from film to film
const KEYS = { i: 'invert', h: 'map', r: 'reset', f: 'full', '+': 'in', '=': 'in', '-': 'out' };
const NEIGHBOURS = { n: '#next-film', p: '#previous-film' };
const MOST_ZOOM = 40;
const BUTTONS = ['out', 'in', 'reset', 'invert', 'map', 'full'];
const SLIDERS = { window: [1, 200], level: [0, 100], opacity: [0, 100] };
const STYLE = `
  :host { display: flex; flex-direction: column; gap: .5rem; }
  :host(:fullscreen), :host(.full) { background: #000; color: #f8fafc; padding: .5rem; box-sizing: border-box; }
  :host(.full) { position: fixed; inset: 0; z-index: 1000; }
  .stage { position: relative; background: #000; border-radius: .375rem; overflow: hidden; cursor: grab; touch-action: pan-y;
    height: var(--stage, 60vh); }
  :host(:fullscreen) .stage, :host(.full) .stage { flex: 1; height: auto; min-height: 0; }
  .stage:focus-visible { outline: 2px solid #14b8a6; outline-offset: 2px; }
  .stage.zoomed { touch-action: none; }
  .stage.dragging { cursor: grabbing; }
  canvas { position: absolute; inset: 0; width: 100%; height: 100%; }
  .bar, .sliders { display: flex; flex-wrap: wrap; gap: .35rem .5rem; align-items: center; }
  .bar { font-size: .85rem; }
  .sliders { column-gap: 1rem; }
  button, select { font: inherit; color: inherit; background: transparent; border: 1px solid #64748b; border-radius: .375rem;
    padding: .3rem .6rem; min-height: 2rem; min-width: 2rem; cursor: pointer; }
  option { color: #0f172a; background: #fff; }
  button[aria-pressed="true"] { background: #0f766e; border-color: #0f766e; color: #fff; }
  :is(button, select, input):focus-visible { outline: 2px solid #14b8a6; outline-offset: 2px; }
  label { display: inline-flex; align-items: center; gap: .35rem; white-space: nowrap; }
  input { width: 6rem; accent-color: #0f766e; }
  [hidden] { display: none; }
  @media (max-width: 640px) {
    :host(:not(:fullscreen, .full)) { display: contents; }
    :host(:not(:fullscreen, .full)) .stage { position: sticky; top: 0; z-index: 2; flex: none; }
    .bar { order: 2; }
    .bar * { scroll-margin-top: calc(var(--stage) + 1rem); }
  }`;

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

class FilmViewer extends HTMLElement {
  static observedAttributes = ['data-key'];
  #levels = [];
  #pointers = new Map();
  #waiting = 0;

  constructor() {
    super();
    const root = this.attachShadow({ mode: 'open' });
    const sliders = Object.entries(SLIDERS).map(([name, [low, high]]) =>
      `<label><span></span><input type="range" data-set="${name}" min="${low}" max="${high}"></label>`);
    root.innerHTML = `<style>${STYLE}</style><div class="stage" tabindex="0" role="group"><canvas role="img"></canvas></div>
      <div class="bar" role="toolbar">${BUTTONS.map((name) => `<button type="button" data-do="${name}"></button>`).join('')}
      <select>${['overlay', 'side', 'contour'].map((name) => `<option value="${name}"></option>`).join('')}</select>
      <div class="sliders">${sliders.join('')}</div></div>`;
    [this.stage, this.canvas, this.bar, this.select] = ['.stage', 'canvas', '.bar', 'select'].map((one) => root.querySelector(one));
    this.bar.addEventListener('click', (event) => this.#do(event.target.closest('[data-do]')?.dataset.do));
    this.bar.addEventListener('input', ({ target }) => this.#set(target));
    this.stage.addEventListener('wheel', (event) => this.#wheel(event), { passive: false });
    this.stage.addEventListener('contextmenu', (event) => event.preventDefault());
    this.stage.addEventListener('pointerdown', (event) => this.#down(event));
    this.stage.addEventListener('pointermove', (event) => this.#move(event));
    for (const end of ['pointerup', 'pointercancel']) this.stage.addEventListener(end, (event) => this.#up(event));
    this.stage.addEventListener('keydown', (event) => this.#arrow(event));
    this.sizes = new ResizeObserver(() => this.draw());
    this.words = new MutationObserver(() => this.#say());
    this.key = (event) => this.#key(event);
  }

  connectedCallback() {
    this.sizes.observe(this.stage);
    for (const place of document.querySelectorAll('#viewer-words, #caption')) {
      this.words.observe(place, { subtree: true, childList: true, attributes: true });
    }
    document.addEventListener('keydown', this.key);
    this.#begin();
  }

  disconnectedCallback() {
    this.sizes.disconnect();
    this.words.disconnect();
    document.removeEventListener('keydown', this.key);
  }

  attributeChangedCallback(name, before) {
    if (before !== null && this.isConnected) this.#begin();
  }

  /** A film's first picture: all settings anew, but for what the visitor chose of the map. */
  async #begin() {
    const key = this.dataset.key;
    this.view = { zoom: 1, x: 0.5, y: 0.5, window: 1, level: 0.5, inverted: false };
    this.heat = this.contour = null;
    this.#levels = [];
    this.canvas.dataset.source = 'none';
    this.#say();
    await null; // Gradio writes a new film's attributes first, and then its pictures
    const [film, heat] = this.querySelectorAll('img');
    try {
      await Promise.all([film, heat].filter(Boolean).map((image) => image.decode()));
    } catch (error) {
      if (key === this.dataset.key && this.isConnected) throw error;
    }
    if (key !== this.dataset.key || !this.isConnected) return;
    this.heat = heat ?? null;
    if (!this.#levels.length) this.#take(grayOf(film));
    this.draw();
  }

  /** The whole film, from the address of a file that ui/api/layers.py wrote; of another film than this, nothing. */
  async load({ url }) {
    const key = this.dataset.key;
    if (!url.includes(key)) return;
    const packed = await fetch(url);
    if (!packed.ok) return; // deleted meanwhile: the first picture stays
    const unpacked = new Response(packed.body.pipeThrough(new DecompressionStream('deflate')));
    const bytes = new Uint8Array(await unpacked.arrayBuffer());
    if (key !== this.dataset.key) return;
    const { width, height, bits } = this.dataset;
    this.#take(undelta(bytes, Number(width), Number(height), Number(bits)));
    this.draw();
  }

  #take(source) {
    this.#levels = [source];
    this.canvas.dataset.source = `${source.width}x${source.height}x${source.bits}`;
  }

  get mapShown() {
    return Boolean(this.heat) && (KEPT.map ?? this.dataset.map === 'shown');
  }

  get opacity() {
    return KEPT.opacity;
  }

  draw() {
    if (!this.#waiting) this.#waiting = requestAnimationFrame(() => this.#drawNow());
  }

  #drawNow() {
    this.#waiting = 0;
    const { stage, canvas, view } = this, ratio = Math.min(devicePixelRatio, 2);
    const width = Math.round(stage.clientWidth * ratio), height = Math.round(stage.clientHeight * ratio);
    this.#show();
    if (!width || !height || !this.#levels.length) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext('2d'), picture = context.createImageData(width, height);
    const places = this.#panes(width, height);
    for (const pane of places) this.#paint(picture, pane, view);
    context.putImageData(picture, 0, 0);
    for (const pane of places) if (pane.map && this.mapShown) this.#paintMap(context, pane, ratio);
  }

  /** Where films are drawn: one, or beside it the same with its map. `scale`: canvas pixels for a pixel of the film. */
  #panes(width, height) {
    const { view, dataset } = this, beside = KEPT.layout === 'side' && this.heat;
    const [w, h] = [Number(dataset.width), Number(dataset.height)];
    return (beside ? [false, true] : [true]).map((map, place) => {
      const wide = beside ? Math.floor(width / 2) - 1 : width;
      const scale = Math.min(wide / w, height / h) * view.zoom;
      return { map, left: place * (width - wide), wide, height, scale, w, h,
        x: wide / 2 - view.x * w * scale, y: height / 2 - view.y * h * scale };
    });
  }

  /** Bilinear samples of the level of the film that has no more than two pixels for one of the canvas. */
  #paint(picture, pane, view) {
    let level = 0;
    for (let size = pane.scale; size <= 0.5; size *= 2) level++;
    while (this.#levels.length <= level) this.#levels.push(halved(this.#levels.at(-1)));
    const { data, width, height, bits } = this.#levels[level], white = 2 ** bits - 1;
    const tones = new Uint32Array(white + 1);
    for (let value = 0; value <= white; value++) {
      const share = clamp((value / white - view.level) / view.window + 0.5, 0, 1);
      tones[value] = 0xff000000 | (Math.round(255 * (view.inverted ? 1 - share : share)) * 0x010101);
    }
    const into = new Uint32Array(picture.data.buffer), step = { x: width / pane.w / pane.scale, y: height / pane.h / pane.scale };
    const columns = Array.from({ length: pane.wide }, (_, x) => (x + 0.5 - pane.x) * step.x - 0.5);
    for (let y = 0; y < pane.height; y++) {
      const v = (y + 0.5 - pane.y) * step.y - 0.5, row = y * picture.width + pane.left;
      const inside = v > -0.5 && v < height - 0.5, v0 = clamp(Math.floor(v), 0, height - 1), fv = clamp(v - v0, 0, 1);
      const above = v0 * width, below = Math.min(v0 + 1, height - 1) * width;
      for (let x = 0; x < pane.wide; x++) {
        const u = columns[x];
        if (!inside || u <= -0.5 || u >= width - 0.5) {
          into[row + x] = 0xff000000;
          continue;
        }
        const u0 = u < 0 ? 0 : u | 0, u1 = u0 + 1 < width ? u0 + 1 : u0, fu = u < u0 ? 0 : u - u0;
        const top = data[above + u0] * (1 - fu) + data[above + u1] * fu, low = data[below + u0] * (1 - fu) + data[below + u1] * fu;
        into[row + x] = tones[(top * (1 - fv) + low * fv + 0.5) | 0];
      }
    }
  }

  #paintMap(context, pane, ratio) {
    const { heat } = this, [wide, high] = [pane.w * pane.scale, pane.h * pane.scale];
    context.save();
    context.beginPath();
    context.rect(pane.left, 0, pane.wide, pane.height);
    context.clip();
    context.translate(pane.left + pane.x, pane.y);
    if (KEPT.layout === 'contour') {
      this.contour ??= contourOf(pixelsOf(heat));
      context.scale(wide / heat.naturalWidth, high / heat.naturalHeight);
      for (const [colour, thick] of [['#000', 4], ['#fde7a9', 2]]) {
        context.strokeStyle = colour;
        context.lineWidth = (thick * ratio * heat.naturalWidth) / wide;
        context.stroke(this.contour);
      }
    } else {
      context.globalAlpha = KEPT.opacity;
      context.drawImage(heat, 0, 0, wide, high);
    }
    context.restore();
  }

  /** The toolbar and the attributes that tell the state, for whoever cannot see the canvas. */
  #show() {
    const { view } = this, root = this.shadowRoot;
    const pressed = { invert: view.inverted, map: this.mapShown };
    for (const [name, on] of Object.entries(pressed)) root.querySelector(`[data-do=${name}]`).ariaPressed = String(on);
    for (const one of [root.querySelector('[data-do=map]'), this.select, root.querySelector('[data-set=opacity]').parentElement]) {
      one.hidden = !this.heat;
    }
    this.select.value = KEPT.layout;
    const values = { window: view.window, level: view.level, opacity: KEPT.opacity };
    for (const [name, value] of Object.entries(values)) root.querySelector(`[data-set=${name}]`).value = Math.round(value * 100);
    this.stage.classList.toggle('zoomed', view.zoom > 1);
    Object.assign(this.canvas.dataset, { zoom: view.zoom.toFixed(2), x: view.x.toFixed(3), y: view.y.toFixed(3),
      window: view.window.toFixed(2), level: view.level.toFixed(2), inverted: view.inverted, map: this.mapShown,
      layout: KEPT.layout });
  }

  #say() {
    const place = document.querySelector('#viewer-words [data-words]');
    if (!place) return;
    const words = JSON.parse(place.dataset.words), root = this.shadowRoot;
    for (const button of root.querySelectorAll('[data-do]')) {
      const name = button.dataset.do, key = Object.keys(KEYS).find((one) => KEYS[one] === name).toUpperCase();
      button.textContent = { in: '+', out: '\u2212' }[name] ?? words[name];
      button.ariaLabel = words[name];
      button.title = `${words[name]} (${key})`;
      button.setAttribute('aria-keyshortcuts', key);
    }
    for (const option of this.select.options) option.textContent = words[option.value];
    for (const input of root.querySelectorAll('[data-set]')) input.previousElementSibling.textContent = words[input.dataset.set];
    this.select.ariaLabel = words.layout;
    this.bar.ariaLabel = words.toolbar;
    this.stage.ariaLabel = words.stage;
    this.canvas.ariaLabel = document.getElementById('map-caption')?.innerText || words.film;
  }

  #do(name) {
    const { view } = this;
    if (name === 'in' || name === 'out') this.#zoom(name === 'in' ? 1.5 : 1 / 1.5);
    if (name === 'invert') view.inverted = !view.inverted;
    if (name === 'map' && this.heat) KEPT.map = !this.mapShown;
    if (name === 'reset') Object.assign(view, { zoom: 1, x: 0.5, y: 0.5, window: 1, level: 0.5, inverted: false });
    if (name === 'full') this.#full();
    if (name) this.draw();
  }

  #full() {
    if (document.fullscreenElement === this) document.exitFullscreen();
    else if (this.classList.contains('full')) this.classList.remove('full');
    else if (this.requestFullscreen) this.requestFullscreen().catch(() => this.classList.add('full')); // a frame may forbid it
    else this.classList.add('full');
  }

  #set(input) {
    if (input === this.select) {
      KEPT.layout = input.value;
      KEPT.map = true; // who chooses a way to show the map wants to see it
    } else if (input.dataset.set === 'opacity') KEPT.opacity = input.value / 100;
    else this.view[input.dataset.set] = input.value / 100;
    this.draw();
  }

  /** Zoom by `factor` about a place of the stage in CSS pixels, its middle unless given: what lies there stays there. */
  #zoom(factor, at) {
    const { view, stage } = this, [pane] = this.#panes(stage.clientWidth, stage.clientHeight);
    const zoom = clamp(view.zoom * factor, 1, MOST_ZOOM), wide = pane.wide + 2;
    const away = at ? [(at.x % wide) - pane.wide / 2, at.y - pane.height / 2] : [0, 0];
    const change = (1 - view.zoom / zoom) / pane.scale;
    Object.assign(view, { zoom, x: view.x + (away[0] / pane.w) * change, y: view.y + (away[1] / pane.h) * change });
    this.#hold();
    this.draw();
  }

  #pan(dx, dy) {
    const { view, stage } = this, [pane] = this.#panes(stage.clientWidth, stage.clientHeight);
    Object.assign(view, { x: view.x - dx / pane.w / pane.scale, y: view.y - dy / pane.h / pane.scale });
    this.#hold();
    this.draw();
  }

  /** Some of the film stays in sight; all of it, where none is zoomed in on. */
  #hold() {
    const { view } = this;
    for (const axis of ['x', 'y']) view[axis] = view.zoom === 1 ? 0.5 : clamp(view[axis], 0, 1);
  }

  #wheel(event) {
    event.preventDefault();
    this.#zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), this.#place(event));
  }

  #place({ clientX, clientY }) {
    const { left, top } = this.stage.getBoundingClientRect();
    return { x: clientX - left, y: clientY - top };
  }

  #down(event) {
    this.stage.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, { ...this.#place(event), button: event.button });
    this.stage.classList.add('dragging');
  }

  #move(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before) return;
    const now = this.#place(event), [dx, dy] = [now.x - before.x, now.y - before.y];
    const other = [...this.#pointers.entries()].find(([id]) => id !== event.pointerId)?.[1];
    this.#pointers.set(event.pointerId, { ...now, button: before.button });
    if (other) {
      const apart = (one) => Math.hypot(one.x - other.x, one.y - other.y) || 1;
      this.#zoom(apart(now) / apart(before), { x: (now.x + other.x) / 2, y: (now.y + other.y) / 2 });
      this.#pan(dx / 2, dy / 2);
    } else if (before.button === 2) {
      const { view } = this;
      view.window = clamp(view.window + dx / 300, 0.01, 2);
      view.level = clamp(view.level + dy / 300, 0, 1);
      this.draw();
    } else this.#pan(dx, dy);
  }

  #up(event) {
    this.#pointers.delete(event.pointerId);
    if (!this.#pointers.size) this.stage.classList.remove('dragging');
  }

  #arrow(event) {
    const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
    if (!step || this.view.zoom === 1) return;
    event.preventDefault();
    this.#pan(...step);
  }

  #key(event) {
    const typing = event.composedPath()[0]?.matches?.('input:not([type=range], [type=radio]), textarea, select');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !this.stage.checkVisibility()) return;
    const key = event.key.toLowerCase();
    if (KEYS[key]) this.#do(KEYS[key]);
    else if (NEIGHBOURS[key]) document.querySelector(NEIGHBOURS[key])?.click();
  }
}

if (!customElements.get('film-viewer')) customElements.define('film-viewer', FilmViewer);
