// Draws the page of charts from the JSON in #data. Pictures are parsed as SVG, of which only drawn shapes and text are taken over.
(() => {
  const report = JSON.parse(document.getElementById('data').textContent);
  const SHAPES = new Set(['svg', 'g', 'rect', 'ellipse', 'line', 'polyline', 'polygon', 'path', 'text']);
  const GOOD = 1, BAD = -1;
  const styleOf = mark => mark === GOOD ? 'good' : mark === BAD ? 'bad' : '';

  function picture(chart) {
    const copy = source => {
      const made = document.createElementNS(SVG, source.localName);
      for (const {name, value} of source.attributes) { if (!name.startsWith('on') && !name.startsWith('xmlns') && name !== 'style') { made.setAttribute(name, value); } }
      for (const child of source.childNodes) {
        if (child.nodeType === Node.TEXT_NODE && source.localName === 'text') { made.append(child.nodeValue); }
        else if (child.nodeType === Node.ELEMENT_NODE && SHAPES.has(child.localName)) { made.append(copy(child)); }
      }
      return made;
    };
    const svg = copy(new DOMParser().parseFromString(chart.svg, 'image/svg+xml').documentElement);
    svg.setAttribute('aria-hidden', 'true');
    svg.setAttribute('focusable', 'false');
    return svg;
  }

  // What is pointed at or chosen by keys.
  const tip = byId('tip');
  let shown = null;
  function hide() {
    if (shown) { shown.top.replaceChildren(); shown.index = -1; shown = null; }
    tip.hidden = true;
  }
  function choose(one, index) {
    if (shown && shown !== one) { hide(); }
    shown = one;
    one.index = index;
    const [x, y, text] = one.chart.points[index];
    one.top.replaceChildren();
    shape(one.top, 'line', {class: 'cross', x1: x, y1: 26, x2: x, y2: one.chart.height - 38});
    shape(one.top, 'circle', {class: 'chosen', cx: x, cy: y, r: 7});
    tip.replaceChildren(...text.split('\n').map((line, i) => element(i ? 'p' : 'b', {text: line})));
    tip.hidden = false;
    const box = one.picture.getBoundingClientRect(), ratio = box.width / one.chart.width;
    let left = box.left + x * ratio + 14, top = box.top + y * ratio + 14;
    if (left + tip.offsetWidth > document.documentElement.clientWidth - 6) { left = Math.max(6, box.left + x * ratio - tip.offsetWidth - 14); }
    if (top + tip.offsetHeight > window.innerHeight - 6) { top = Math.max(6, box.top + y * ratio - tip.offsetHeight - 14); }
    tip.style.left = left + window.scrollX + 'px';
    tip.style.top = top + window.scrollY + 'px';
  }
  function listen(one) {
    const {picture, chart} = one, last = chart.points.length - 1;
    const say = index => { choose(one, index); byId('live').textContent = chart.points[index][2].replaceAll('\n', '; '); };
    picture.addEventListener('keydown', event => {
      const actions = {
        ArrowRight: () => say(Math.min(last, one.index + 1)), ArrowLeft: () => say(one.index < 0 ? last : Math.max(0, one.index - 1)),
        Home: () => say(0), End: () => say(last), Escape: hide,
      };
      const action = last < 0 || event.ctrlKey || event.metaKey || event.altKey ? null : actions[event.key];
      if (action) { event.preventDefault(); action(); }
    });
    picture.addEventListener('blur', hide);
    picture.addEventListener('pointermove', event => {
      const box = picture.getBoundingClientRect(), ratio = chart.width / box.width;
      const px = (event.clientX - box.left) * ratio, py = (event.clientY - box.top) * ratio;
      let best = -1, least = 26 * 26;
      chart.points.forEach(([x, y], i) => { const far = (x - px) ** 2 + (y - py) ** 2; if (far < least) { [best, least] = [i, far]; } });
      if (best < 0) { if (document.activeElement !== picture) { hide(); } } else if (shown !== one || one.index !== best) { choose(one, best); }
    });
    picture.addEventListener('pointerleave', () => { if (document.activeElement !== picture) { hide(); } });
  }

  function figure(chart) {
    const svg = picture(chart);
    const holder = element('div', {class: 'picture', tabindex: '0', role: 'group', 'aria-roledescription': 'chart',
      'aria-label': chart.title + ': ' + chart.words + (chart.points.length ? ' Arrow keys go from point to point.' : '')}, svg);
    listen({chart, picture: holder, index: -1, top: shape(svg, 'g', {})});
    const made = element('figure', {class: 'chart'}, element('h3', {text: chart.title}), holder);
    if (!chart.small) { made.append(element('p', {class: 'words', text: chart.words})); }
    return made;
  }
  function table(data) {
    const style = i => i >= data.texts ? {class: 'number'} : {};
    const body = element('tbody');
    data.rows.forEach((row, i) => body.append(element('tr', styleOf(data.marks[i]) ? {class: styleOf(data.marks[i])} : {}, ...row.map((text, k) => element('td', {text, ...style(k)})))));
    const made = element('table', {}, element('thead', {}, element('tr', {}, ...data.heads.map((text, i) => element('th', {scope: 'col', text, ...style(i)})))), body);
    if (!data.folded) { return element('div', {class: 'rows', tabindex: '0', role: 'region', 'aria-label': data.name}, made); }
    return element('details', {class: 'listing'}, element('summary', {text: data.name + ' as a table (' + data.rows.length.toLocaleString('en') + ')'}),
      element('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': data.name}, made));
  }

  frame(report, report.source);
  byId('verdict').textContent = report.verdict;
  byId('verdict').className = 'result ' + styleOf(report.good);
  const main = byId('sections');
  if (report.settings.length) { main.append(element('section', {class: 'part what'}, element('h2', {text: 'Values'}), settings(report.settings, 'Values'))); }
  for (const section of report.sections) {
    const part = element('section', {class: 'part'}, element('h2', {text: section.title}));
    if (section.words) { part.append(element('p', {text: section.words})); }
    if (section.charts.length) { part.append(element('div', {class: section.charts[0].small ? 'charts small' : 'charts'}, ...section.charts.map(figure))); }
    if (section.table) { part.append(table(section.table)); }
    if (section.code) { part.append(element('pre', {tabindex: '0', text: section.code})); }
    main.append(part);
  }
  window.addEventListener('scroll', () => { if (!document.activeElement || !document.activeElement.classList.contains('picture')) { hide(); } }, {passive: true});
  document.documentElement.dataset.ready = '1';
})();
