
// Draws the packet page from the JSON in #data. Text from the data becomes text nodes only.
(() => {
  const report = JSON.parse(document.getElementById('data').textContent);
  const CLIENT = 0;
  const PASSED = 0, SWALLOWED = 1, FORGED = 2;
  const KINDS = [
    {name: 'acknowledgement', style: 'ack'},
    {name: 'data', style: 'data'},
    {name: 'handshake', style: 'open'},
    {name: 'end (FIN)', style: 'open'},
    {name: 'reply to a probe', style: 'reply'},
    {name: 'keepalive probe', style: 'probe'},
    {name: 'window probe', style: 'probe'},
    {name: 'reset', style: 'reset'},
  ];
  const DATA = 1, REPLY = 4, PROBE = 5, WINDOW_PROBE = 6, RESET = 7;
  const EXPIRED = 0;
  const FLAGS = [[2, 'SYN'], [1, 'FIN'], [4, 'RST'], [8, 'PSH'], [16, 'ACK'], [32, 'URG'], [64, 'ECE'], [128, 'CWR']];
  const OPEN_AT_FIRST = 12, SMALL = 3000;

  // Words.
  function plural(count, what) { return count.toLocaleString('en') + ' ' + what + (count === 1 ? '' : 's'); }
  function duration(us) {
    const size = Math.abs(us);
    if (size < 1000) { return Math.round(us) + ' µs'; }
    if (size < 1e6) { return trim(us / 1e3, size < 1e5 ? 2 : 1) + ' ms'; }
    if (size < 6e8) { return trim(us / 1e6, size < 1e7 ? 2 : 1) + ' s'; }
    const seconds = Math.round(us / 1e6), hours = Math.floor(seconds / 3600), minutes = Math.floor(seconds % 3600 / 60);
    return hours > 0 ? hours + ' h' + (minutes ? ' ' + minutes + ' min' : '') : minutes + ' min' + (seconds % 60 ? ' ' + seconds % 60 + ' s' : '');
  }
  function trim(number, digits) { return String(Number(number.toFixed(digits))); }
  function instant(us, step) {
    const seconds = us / 1e6;
    const digits = step >= 1e6 ? 0 : Math.min(6, Math.max(1, Math.ceil(-Math.log10(step / 1e6) - 1e-9)));
    const size = Number(Math.abs(seconds).toFixed(digits)), sign = seconds < 0 && size > 0 ? '−' : '';
    if (size < 600) { return sign + size.toFixed(digits) + ' s'; }
    const whole = Math.floor(size), rest = digits > 0 ? (size - whole).toFixed(digits).slice(1) : '';
    const two = n => String(n).padStart(2, '0');
    return sign + Math.floor(whole / 3600) + ':' + two(Math.floor(whole % 3600 / 60)) + ':' + two(whole % 60) + rest;
  }
  function wall(us) {
    return report.began === undefined ? null : new Date(report.began + us / 1000).toISOString().replace('T', ' ').replace('Z', ' UTC');
  }
  function flagNames(flags) { return FLAGS.filter(flag => flags & flag[0]).map(flag => flag[1]).join(', ') || 'none'; }

  // The data: arrays lose the zeros at their ends.
  function packetOf(row) {
    const [frame = 0, time = 0, from = 0, kind = 0, flags = 0, sequence = 0, length = 0, idle = 0, answers = 0, fate = 0, gap = 0, left = 0] = row;
    return {frame, time, from, kind, flags, sequence, length, idle, answers, fate, gap, left, answeredBy: null, answered: null};
  }
  const lanes = report.lanes;
  const connections = report.connections.map((data, index) => {
    const packets = data.packets.map(packetOf);
    const byFrame = new Map(packets.map(packet => [packet.frame, packet]));
    const base = [undefined, undefined];
    for (const packet of packets) {
      if (packet.fate !== FORGED && base[packet.from] === undefined) {
        // A probe is one before the byte that comes next.
        base[packet.from] = packet.kind === PROBE ? packet.sequence + 1 : packet.sequence;
      }
      const probe = packet.answers ? byFrame.get(packet.answers) : undefined;
      if (probe) { probe.answeredBy = packet; packet.answered = probe; }
    }
    const times = [...packets.map(p => p.time), ...data.marks.map(m => m[0]), ...data.requests.flatMap(r => [r[0], r[1]])];
    const began = times.reduce((a, b) => Math.min(a, b), Infinity), ended = times.reduce((a, b) => Math.max(a, b), -Infinity);
    return {
      ...data, index, packets, base, isEmpty: times.length === 0,
      marks: data.marks.map(([time, kind, text]) => ({time, kind, text})),
      requests: data.requests.map(([from, to, status, text]) => ({from, to, status, text})),
      began: times.length ? began : 0, ended: times.length ? ended : 0, origin: packets.length ? packets[0].time : times.length ? began : 0, chosen: null,
    };
  });

  function relative(connection, packet) {
    const base = connection.base[packet.from];
    return base === undefined ? packet.sequence : (packet.sequence - base) >>> 0;
  }
  function other(from) { return from === CLIENT ? lanes.length - 1 : 0; }
  function route(packet) {
    const balancer = 1, source = packet.from === CLIENT ? 0 : lanes.length - 1;
    if (packet.fate === FORGED) { return [balancer, other(packet.from)]; }
    return [source, packet.fate === SWALLOWED ? balancer : other(packet.from)];
  }
  function kindName(packet) {
    const name = KINDS[packet.kind].name;
    return packet.fate === FORGED ? name + ' sent by the balancer' : packet.fate === SWALLOWED ? name + ', swallowed by the balancer' : name;
  }
  function facts(connection, packet) {
    const [from, to] = route(packet);
    const offset = offsetOf(connection);
    const rows = [
      ['frame', String(packet.frame)],
      ['time', instant(packet.time - offset, 1) + (wall(packet.time) ? ' (' + wall(packet.time) + ')' : '')],
      ['way', lanes[from] + ' → ' + lanes[to]],
      ['flags', flagNames(packet.flags)],
      ['sequence', relative(connection, packet) + ' relative, ' + packet.sequence + ' on the wire' + (packet.length ? '; ' + plural(packet.length, 'byte') : '')],
      ['idle before', packet.idle > 0 ? duration(packet.idle) : 'not idle'],
    ];
    if (packet.answered) { rows.push(['answers', 'frame ' + packet.answered.frame + ' after ' + duration(packet.time - packet.answered.time)]); }
    else if (packet.answers) { rows.push(['answers', 'frame ' + packet.answers]); }
    if (packet.kind === PROBE && packet.fate === PASSED) {
      rows.push(['answered', packet.answeredBy ? 'by frame ' + packet.answeredBy.frame + ' after ' + duration(packet.answeredBy.time - packet.time) : 'no answer here']);
    }
    return rows;
  }
  function sentence(connection, packet) {
    return kindName(packet) + '; ' + facts(connection, packet).map(row => row.join(' ')).join('; ');
  }

  // The view: one part of the time axis for all pictures.
  let aligned = !!report.aligned;
  let data = [0, 1], full = [0, 1], view = [0, 1];
  function offsetOf(connection) { return aligned ? connection.origin : 0; }
  function measure() {
    const used = connections.filter(connection => !connection.isEmpty);
    let from = used.reduce((least, one) => Math.min(least, one.began - offsetOf(one)), Infinity);
    let to = used.reduce((most, one) => Math.max(most, one.ended - offsetOf(one)), -Infinity);
    if (!(to >= from)) { [from, to] = [0, 1e6]; }
    const spare = Math.max((to - from) * 0.025, 50);
    data = [from, to];
    full = [from - spare, to + spare];
    view = [...full];
  }
  function show(from, to) {
    const least = 20, whole = full[1] - full[0];
    const width = Math.min(whole, Math.max(least, to - from));
    const begin = Math.min(full[1] - width, Math.max(full[0], (from + to) / 2 - width / 2));
    view = [begin, begin + width];
    renderAll();
  }
  function zoom(factor, at) {
    const width = (view[1] - view[0]) * factor;
    const part = (at - view[0]) / (view[1] - view[0]);
    const begin = at - part * width;
    show(begin, begin + width);
  }
  function pan(part) {
    const by = (view[1] - view[0]) * part;
    show(view[0] + by, view[1] + by);
  }

  // Round ticks.
  function stepOf(span, most) {
    const rough = span / Math.max(1, most);
    const nice = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 2e5, 5e5,
      1e6, 2e6, 5e6, 1e7, 1.5e7, 3e7, 6e7, 1.2e8, 3e8, 6e8, 9e8, 1.8e9, 3.6e9, 7.2e9, 1.08e10, 2.16e10, 4.32e10, 8.64e10];
    for (const step of nice) { if (step >= rough) { return step; } }
    return Math.ceil(rough / 8.64e10) * 8.64e10;
  }

  // A picture.
  const RIGHT = 16, LANE = 40;
  function layout(connection, width) {
    const narrow = width < 560;
    const left = narrow ? 88 : 104;
    let y = 12;
    const requestsAt = connection.requests.length ? y : null;
    if (requestsAt !== null) { y += 28; }
    const laneAt = lanes.map((_, i) => y + 12 + i * LANE);
    y = laneAt[laneAt.length - 1] + 26;
    const clockAt = y, clockHeight = 42;
    y += clockHeight + 6;
    return {width, left, right: width - RIGHT, requestsAt, laneAt, clockAt, clockHeight, axisAt: y, height: y + 20, narrow};
  }
  function glyph(parent, style, x, y, kind, fate) {
    const at = {class: style + ' glyph'};
    if (fate === FORGED) {
      shape(parent, 'path', {...at, d: `M${x} ${y - 6}L${x + 5.5} ${y + 4.5}L${x - 5.5} ${y + 4.5}Z`});
    } else if (kind === PROBE || kind === WINDOW_PROBE) {
      shape(parent, 'path', {...at, d: `M${x} ${y - 5.5}L${x + 5.5} ${y}L${x} ${y + 5.5}L${x - 5.5} ${y}Z`});
    } else if (kind === REPLY) {
      shape(parent, 'path', {...at, d: `M${x} ${y - 4.5}L${x + 4.5} ${y}L${x} ${y + 4.5}L${x - 4.5} ${y}Z`});
    } else if (kind === RESET) {
      shape(parent, 'path', {...at, d: `M${x - 4.5} ${y - 4.5}L${x + 4.5} ${y + 4.5}M${x - 4.5} ${y + 4.5}L${x + 4.5} ${y - 4.5}`});
    } else if (style === 'open') {
      shape(parent, 'rect', {...at, x: x - 3.5, y: y - 3.5, width: 7, height: 7});
    } else {
      shape(parent, 'circle', {...at, cx: x, cy: y, r: kind === DATA ? 3.6 : 1.8});
    }
  }
  function drawPacket(parent, packet, x, laneAt) {
    const style = KINDS[packet.kind].style;
    const [from, to] = route(packet);
    const y1 = laneAt[from], y2 = laneAt[to], down = y2 > y1 ? 1 : -1;
    const line = style + (packet.fate === SWALLOWED ? ' swallowed' : '');
    shape(parent, 'line', {class: line, x1: x, y1, x2: x, y2: packet.fate === SWALLOWED ? y2 - 5 * down : y2 - 1 * down});
    if (packet.fate === SWALLOWED) {
      shape(parent, 'path', {class: 'stop', d: `M${x - 5.5} ${y2 - 5.5}L${x + 5.5} ${y2 + 5.5}M${x - 5.5} ${y2 + 5.5}L${x + 5.5} ${y2 - 5.5}`});
    } else if (packet.kind !== 0) {
      shape(parent, 'path', {class: (style === 'reply' ? 'probe' : style), d: `M${x - 3.5} ${y2 - 7 * down}L${x} ${y2}L${x + 3.5} ${y2 - 7 * down}`, fill: 'none'}).setAttribute('fill', 'none');
    }
    glyph(parent, style, x, y1, packet.kind, packet.fate);
  }
  // The parts of the idle clock: from a restart to the next, or to the end.
  function silences(connection) {
    if (connection.packets.some(packet => packet.left > 0)) {
      const parts = [];
      connection.packets.forEach((packet, i) => {
        if (!(packet.left > 0)) { return; }
        let next = i + 1, known = true;
        for (; next < connection.packets.length; next++) {
          known = known && !connection.packets[next].gap;
          if (connection.packets[next].left > 0 || connection.packets[next].fate === PASSED) { break; }
        }
        const to = next < connection.packets.length ? connection.packets[next].time : connection.ended;
        if (known) { parts.push({from: packet.time, to, left: packet.left, out: packet.time + packet.left}); }
      });
      return parts;
    }
    const passed = connection.packets.filter(packet => packet.fate === PASSED);
    const parts = passed.slice(1).map((packet, i) => ({from: packet.gap > 0 ? packet.time - packet.idle : passed[i].time, to: packet.time}));
    if (passed.length) { parts.push({from: passed[passed.length - 1].time, to: connection.ended}); }
    return parts.map(part => ({...part, out: connection.timeout === undefined ? null : part.from + connection.timeout}));
  }
  function drawClock(svg, connection, at, x) {
    const {clockAt: top, clockHeight: height} = at, bottom = top + height;
    const parts = silences(connection);
    const hasTimeout = connection.timeout !== undefined;
    const scale = hasTimeout ? connection.timeout : parts.reduce((most, part) => Math.max(most, part.to - part.from), 1);
    shape(svg, 'text', {class: 'lane-name', x: 0, y: top + height / 2 + 4}, hasTimeout ? 'idle clock' : 'idle time');
    shape(svg, 'text', {x: at.left - 6, y: top + 8, 'text-anchor': 'end', class: 'tick'}, duration(scale));
    shape(svg, 'text', {x: at.left - 6, y: bottom + 1, 'text-anchor': 'end', class: 'tick'}, '0');
    // Full where it was restarted, empty where the idle timeout has passed; without an idle timeout it rises with the silence.
    let area = '', edge = '';
    const holes = [], visible = [];
    const clipped = time => Math.max(at.left - 3, Math.min(at.right + 3, x(time)));
    for (const part of parts) {
      const end = part.out === null ? part.to : Math.min(part.to, part.out);
      if (part.out !== null && part.out < part.to) { holes.push([part.out, part.to]); }
      if (x(end) >= at.left && x(part.from) <= at.right) { visible.push([part.from, end, part.out]); }
    }
    let last = -Infinity;
    for (const [from, to, runsOut] of visible) {
      // Several within a pixel look like one.
      if (x(to) - last < 0.7) { continue; }
      const joins = Math.abs(x(from) - last) < 1.5;
      last = x(to);
      const part = time => hasTimeout ? Math.max(0, Math.min(1, (runsOut - time) / scale)) : (time - from) / scale;
      const inverse = px => from + (px - x(from)) / (x(to) - x(from) || 1) * (to - from);
      const x1 = clipped(from), x2 = clipped(to), y1 = bottom - height * part(inverse(x1)), y2 = bottom - height * part(inverse(x2));
      area += `M${x1} ${bottom}L${x1} ${y1}L${x2} ${y2}L${x2} ${bottom}Z`;
      edge += `${joins ? 'L' : 'M'}${x1} ${y1}L${x2} ${y2}`;
    }
    for (const [from, to] of holes) {
      if (x(to) >= at.left && x(from) <= at.right) {
        shape(svg, 'rect', {class: 'empty', x: clipped(from), y: top, width: Math.max(0.5, clipped(to) - clipped(from)), height});
      }
    }
    shape(svg, 'path', {class: 'level', d: area || 'M0 0'});
    shape(svg, 'path', {class: 'edge', d: edge || 'M0 0'});
    shape(svg, 'rect', {class: 'frame', x: at.left, y: top, width: at.right - at.left, height});
  }
  function render(connection) {
    const picture = connection.picture;
    if (!picture) { return; }
    const width = Math.max(300, Math.round(picture.clientWidth || connection.lastWidth || 900));
    connection.lastWidth = width;
    const at = layout(connection, width);
    const offset = offsetOf(connection);
    const scale = (at.right - at.left) / (view[1] - view[0]);
    const x = time => at.left + (time - offset - view[0]) * scale;
    connection.at = at;
    connection.x = x;
    connection.timeAt = px => view[0] + (px - at.left) / scale;
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${width} ${at.height}`);
    svg.setAttribute('aria-hidden', 'true');
    svg.setAttribute('focusable', 'false');
    const clip = 'clip' + connection.index;
    shape(shape(shape(svg, 'defs', {}), 'clipPath', {id: clip}), 'rect', {x: at.left - 8, y: 0, width: at.right - at.left + 16, height: at.height});

    const step = stepOf(view[1] - view[0], (at.right - at.left) / (at.narrow ? 74 : 92));
    for (let tick = Math.ceil(view[0] / step) * step; tick <= view[1]; tick += step) {
      const px = at.left + (tick - view[0]) * scale;
      shape(svg, 'line', {class: 'grid', x1: px, y1: 6, x2: px, y2: at.axisAt});
      shape(svg, 'text', {class: 'tick', x: px, y: at.axisAt + 14, 'text-anchor': 'middle'}, instant(tick, step));
    }
    shape(svg, 'text', {class: 'lane-name', x: 0, y: at.axisAt + 14}, 'time');
    drawClock(svg, connection, at, x);
    const drawing = shape(svg, 'g', {'clip-path': `url(#${clip})`});
    if (at.requestsAt !== null) {
      shape(svg, 'text', {class: 'lane-name', x: 0, y: at.requestsAt + 14}, at.narrow ? 'request' : 'requests');
      for (const request of connection.requests) {
        const px = Math.max(at.left - 4, x(request.from)), end = Math.min(at.right + 4, x(request.to));
        if (end < at.left || px > at.right) { continue; }
        const style = request.status >= 200 && request.status < 400 ? 'ok' : 'failed';
        const wide = Math.max(4, end - px);
        shape(drawing, 'rect', {class: 'request ' + style, x: px, y: at.requestsAt, width: wide, height: 19, rx: 2});
        const text = request.status ? String(request.status) : 'no answer';
        const room = wide > text.length * 8 + 6, atEnd = px + wide + 30 > at.right;
        shape(drawing, 'text', {
          class: 'request-text ' + style, x: room ? px + wide / 2 : atEnd ? px - 4 : px + wide + 4, y: at.requestsAt + 14,
          'text-anchor': room ? 'middle' : atEnd ? 'end' : 'start',
        }, text);
      }
    }
    lanes.forEach((name, i) => {
      shape(svg, 'text', {class: 'lane-name', x: 0, y: at.laneAt[i] + 4}, name.length > 13 ? name.slice(0, 12) + '…' : name);
      shape(drawing, 'line', {class: 'lane', x1: at.left, y1: at.laneAt[i], x2: at.right, y2: at.laneAt[i]});
    });
    for (const mark of connection.marks) {
      const px = x(mark.time);
      if (px < at.left || px > at.right) { continue; }
      const expired = mark.kind === EXPIRED, atEnd = px + (at.narrow ? 60 : 150) > at.right;
      shape(drawing, 'line', {class: 'expiry', x1: px, y1: at.laneAt[0] - 10, x2: px, y2: at.clockAt + at.clockHeight});
      shape(drawing, 'text', {class: expired ? 'expiry-text' : 'revived-text', x: px + (atEnd ? -5 : 5), y: at.clockAt + 13, 'text-anchor': atEnd ? 'end' : 'start'}, at.narrow && mark.text.length > 12 ? mark.text.split(' ')[0] : mark.text);
    }

    // Packets that would lie on each other are one mark: the one that matters most.
    const visible = connection.packets.filter(packet => { const px = x(packet.time); return px >= at.left - 6 && px <= at.right + 6; });
    const places = new Map();
    for (const packet of visible) {
      const place = Math.round(x(packet.time) / 2) * 4 + packet.from * 2 + (packet.kind > DATA ? 1 : 0);
      const before = places.get(place);
      if (!before || weight(packet) > weight(before)) { places.set(place, packet); }
    }
    for (const packet of connection.packets) {
      if (packet.gap > 0) {
        const i = connection.packets.indexOf(packet);
        const from = Math.max(at.left, x(i > 0 ? connection.packets[i - 1].time : connection.began) + 1), to = Math.min(at.right, x(packet.time) - 1);
        if (to - from > 1) {
          const top = at.laneAt[0] + 5, bottom = at.laneAt[lanes.length - 1] - 5;
          shape(drawing, 'rect', {class: 'hidden-part', x: from, y: top, width: to - from, height: bottom - top});
          const text = plural(packet.gap, 'packet') + ' not shown';
          if (to - from > text.length * 6.5) { shape(drawing, 'text', {x: (from + to) / 2, y: (top + bottom) / 2 + 4, 'text-anchor': 'middle'}, text); }
        }
      }
    }
    for (const packet of visible) {
      if (packet.answered && packet.fate === PASSED) {
        const y = at.laneAt[route(packet)[0]], x1 = x(packet.answered.time), x2 = x(packet.time);
        if (x2 - x1 > 1) { shape(drawing, 'line', {class: 'join', x1, y1: y, x2, y2: y}); }
      }
    }
    for (const packet of [...places.values()].sort((a, b) => weight(a) - weight(b))) { drawPacket(drawing, packet, x(packet.time), at.laneAt); }
    connection.visible = visible;
    connection.top = shape(svg, 'g', {'clip-path': `url(#${clip})`});
    picture.replaceChildren(svg);
    if (connection.chosen) { choose(connection, connection.chosen, false); }
  }
  function weight(packet) { return packet.fate !== PASSED ? 20 + packet.kind : packet.kind; }

  const waiting = new Set();
  let drawing = 0;
  function later(connection) {
    waiting.add(connection);
    if (!drawing) {
      drawing = requestAnimationFrame(() => {
        drawing = 0;
        const now = [...waiting];
        waiting.clear();
        now.forEach(render);
      });
    }
  }
  function renderAll() {
    for (const connection of connections) {
      connection.stale = true;
      if (connection.isNear) { connection.stale = false; later(connection); }
    }
    const step = stepOf(view[1] - view[0], 200);
    byId('range').textContent = instant(Math.max(view[0], data[0]), step) + ' – ' + instant(Math.min(view[1], data[1]), step);
    drawOverview();
  }

  // The overview: where packets and trouble are, and which part the pictures show.
  function drawOverview() {
    const holder = byId('overview'), width = Math.max(120, holder.clientWidth), height = 30;
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
    svg.setAttribute('preserveAspectRatio', 'none');
    const x = time => (time - full[0]) / (full[1] - full[0]) * width;
    const bins = new Map();
    let most = 1;
    for (const connection of connections) {
      for (const packet of connection.packets) {
        const bin = Math.round(x(packet.time - offsetOf(connection)) / 3);
        const entry = bins.get(bin) || {count: 0, bad: false};
        entry.count++;
        entry.bad = entry.bad || packet.fate !== PASSED || packet.kind === RESET;
        most = Math.max(most, entry.count);
        bins.set(bin, entry);
      }
    }
    for (const [bin, entry] of bins) {
      const tall = 4 + 22 * Math.log(1 + entry.count) / Math.log(1 + most);
      shape(svg, 'rect', {class: entry.bad ? 'bin bad' : 'bin', x: bin * 3 - 1, y: height - tall, width: 2, height: tall});
    }
    shape(svg, 'rect', {class: 'window', x: Math.max(0.5, x(view[0])), y: 0.5, width: Math.max(3, Math.min(width, x(view[1])) - Math.max(0, x(view[0])) - 1), height: height - 1});
    holder.replaceChildren(svg);
  }
  (() => {
    const holder = byId('overview');
    let held = null;
    const timeAt = event => { const box = holder.getBoundingClientRect(); return full[0] + (event.clientX - box.left) / box.width * (full[1] - full[0]); };
    holder.addEventListener('pointerdown', event => {
      const time = timeAt(event), width = view[1] - view[0];
      held = time >= view[0] && time <= view[1] ? time - view[0] : width / 2;
      holder.setPointerCapture(event.pointerId);
      show(time - held, time - held + width);
    });
    holder.addEventListener('pointermove', event => {
      if (held !== null) { const time = timeAt(event); show(time - held, time - held + view[1] - view[0]); }
    });
    for (const name of ['pointerup', 'pointercancel']) { holder.addEventListener(name, () => { held = null; }); }
  })();

  // What is pointed at or chosen by keys.
  const tip = byId('tip');
  function hideTip() { tip.hidden = true; }
  function near(connection, px, py) {
    const found = connection.visible.filter(packet => Math.abs(connection.x(packet.time) - px) <= 7);
    if (!found.length) { return []; }
    const laneDistance = packet => { const [from] = route(packet); return Math.abs(connection.at.laneAt[from] - py) / 12; };
    const distance = packet => Math.abs(connection.x(packet.time) - px) + laneDistance(packet) - weight(packet) / 10;
    return found.sort((a, b) => distance(a) - distance(b));
  }
  function choose(connection, packet, withTip, othersHere) {
    for (const one of connections) { if (one !== connection && one.chosen) { one.chosen = null; if (one.top) { one.top.replaceChildren(); } } }
    connection.chosen = packet;
    const {top, at, x} = connection, px = x(packet.time), [from] = route(packet);
    top.replaceChildren();
    shape(top, 'line', {class: 'cross', x1: px, y1: 4, x2: px, y2: at.axisAt});
    shape(top, 'circle', {class: 'chosen', cx: px, cy: at.laneAt[from], r: 9});
    const partner = packet.answeredBy || packet.answered;
    if (partner) { shape(top, 'circle', {class: 'chosen', cx: x(partner.time), cy: at.laneAt[route(partner)[0]], r: 7}); }
    if (!withTip) { return; }
    const list = element('dl');
    for (const [name, value] of facts(connection, packet)) { list.append(element('dt', {text: name}), element('dd', {text: value})); }
    tip.replaceChildren(element('b', {text: kindName(packet)}), list);
    if (othersHere > 0) { tip.append(element('p', {text: plural(othersHere, 'other packet') + ' at this place: zoom in, or use the arrow keys'})); }
    tip.hidden = false;
    const box = connection.picture.getBoundingClientRect(), ratio = box.width / at.width;
    const wide = tip.offsetWidth, tall = tip.offsetHeight;
    let left = box.left + px * ratio + 14;
    if (left + wide > document.documentElement.clientWidth - 6) { left = Math.max(6, box.left + px * ratio - wide - 14); }
    let topAt = box.top + at.laneAt[lanes.length - 1] * ratio + 12;
    if (topAt + tall > window.innerHeight - 6) { topAt = Math.max(6, box.top + at.laneAt[0] * ratio - tall - 12); }
    tip.style.left = left + window.scrollX + 'px';
    tip.style.top = topAt + window.scrollY + 'px';
  }
  function drop(connection) {
    connection.chosen = null;
    if (connection.top) { connection.top.replaceChildren(); }
    hideTip();
  }
  function here(connection, packet) {
    const px = connection.x(packet.time);
    return connection.visible.filter(one => Math.abs(connection.x(one.time) - px) <= 7).length - 1;
  }
  function select(connection, packet) {
    const time = packet.time - offsetOf(connection), width = view[1] - view[0];
    if (time < view[0] || time > view[1]) { show(time - width / 2, time + width / 2); waiting.delete(connection); render(connection); }
    choose(connection, packet, true, here(connection, packet));
    byId('live').textContent = sentence(connection, packet);
  }
  function onKey(connection, event) {
    const {packets, chosen} = connection;
    const middle = chosen ? chosen.time - offsetOf(connection) : (view[0] + view[1]) / 2;
    const move = to => { if (packets.length) { select(connection, packets[Math.max(0, Math.min(packets.length - 1, to))]); } };
    const index = chosen ? packets.indexOf(chosen) : -1;
    const actions = {
      ArrowRight: () => event.shiftKey ? pan(0.2) : move(index + 1),
      ArrowLeft: () => event.shiftKey ? pan(-0.2) : move(index < 0 ? packets.length - 1 : index - 1),
      Home: () => move(0),
      End: () => move(packets.length - 1),
      '+': () => zoom(1 / 1.6, middle), '=': () => zoom(1 / 1.6, middle), '-': () => zoom(1.6, middle), '−': () => zoom(1.6, middle),
      0: () => show(...full),
      Enter: () => { const partner = chosen && (chosen.answeredBy || chosen.answered); if (partner) { select(connection, partner); } },
      Escape: () => drop(connection),
    };
    const action = event.ctrlKey || event.metaKey || event.altKey ? null : actions[event.key];
    if (action) { event.preventDefault(); action(); }
  }
  function listen(connection) {
    const picture = connection.picture, pointers = new Map();
    let start = null;
    const place = event => {
      const box = picture.getBoundingClientRect();
      return [(event.clientX - box.left) / box.width * connection.at.width, (event.clientY - box.top) / box.height * connection.at.height];
    };
    picture.addEventListener('keydown', event => onKey(connection, event));
    picture.addEventListener('focus', () => { if (picture.matches(':focus-visible') && connection.packets.length && !connection.chosen) { byId('live').textContent = picture.getAttribute('aria-label'); } });
    picture.addEventListener('blur', () => drop(connection));
    picture.addEventListener('wheel', event => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) * 0.008), connection.timeAt(place(event)[0]));
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        pan((event.shiftKey && !event.deltaX ? event.deltaY : event.deltaX) / connection.at.width);
      }
    }, {passive: false});
    picture.addEventListener('dblclick', event => zoom(1 / 3, connection.timeAt(place(event)[0])));
    picture.addEventListener('pointerdown', event => {
      pointers.set(event.pointerId, event);
      const [px] = place(event);
      start = {px, view: [...view], band: event.shiftKey, spread: spread(), moved: false};
      if (event.pointerType === 'mouse') { picture.setPointerCapture(event.pointerId); }
    });
    function spread() {
      if (pointers.size !== 2) { return null; }
      const [a, b] = [...pointers.values()];
      return {distance: Math.max(10, Math.abs(a.clientX - b.clientX)), at: connection.timeAt((place(a)[0] + place(b)[0]) / 2)};
    }
    picture.addEventListener('pointermove', event => {
      if (pointers.has(event.pointerId)) { pointers.set(event.pointerId, event); }
      const [px, py] = place(event);
      if (start && pointers.size === 2 && start.spread) {
        const now = spread(), [a, b] = start.view, factor = start.spread.distance / now.distance, at = start.spread.at;
        show(at - (at - a) * factor, at + (b - at) * factor);
        return;
      }
      if (start && pointers.size === 1) {
        const by = px - start.px;
        if (Math.abs(by) < 4 && !start.moved) { return; }
        start.moved = true;
        hideTip();
        if (start.band) {
          connection.top.replaceChildren();
          shape(connection.top, 'rect', {class: 'band', x: Math.min(px, start.px), y: 4, width: Math.abs(by), height: connection.at.axisAt - 4});
          start.to = px;
        } else {
          picture.classList.add('moving');
          const scale = (start.view[1] - start.view[0]) / (connection.at.right - connection.at.left);
          show(start.view[0] - by * scale, start.view[1] - by * scale);
        }
        return;
      }
      const found = near(connection, px, py);
      if (found.length) { choose(connection, found[0], true, found.length - 1); } else { drop(connection); pointAt(connection, px, py); }
    });
    const end = event => {
      pointers.delete(event.pointerId);
      picture.classList.remove('moving');
      if (start && start.band && start.to !== undefined && Math.abs(start.to - start.px) > 3) {
        const a = connection.timeAt(start.px), b = connection.timeAt(start.to);
        show(Math.min(a, b), Math.max(a, b));
      } else if (start && !start.moved && event.type === 'pointerup') {
        const [px, py] = place(event), found = near(connection, px, py);
        if (found.length) { choose(connection, found[0], true, found.length - 1); }
      }
      start = null;
    };
    picture.addEventListener('pointerup', end);
    picture.addEventListener('pointercancel', end);
    picture.addEventListener('pointerleave', () => { if (!start && document.activeElement !== picture) { drop(connection); } });
  }
  // Requests and the clock have a word, too.
  function pointAt(connection, px, py) {
    const {at, x} = connection, time = connection.timeAt(px) + offsetOf(connection);
    let text = null;
    if (at.requestsAt !== null && py < at.requestsAt + 22) {
      const request = connection.requests.find(one => px >= x(one.from) - 4 && px <= Math.max(x(one.to), x(one.from) + 4) + 30);
      text = request && request.text + ' (' + duration(request.to - request.from) + ')';
    } else if (py >= at.clockAt && py <= at.clockAt + at.clockHeight && px >= at.left && px <= at.right) {
      const part = silences(connection).find(one => one.from <= time && time <= one.to);
      if (part) {
        const idle = time - part.from;
        text = 'idle for ' + duration(idle) + (part.out === null ? '' : part.out > time ? ', ' + duration(part.out - time) + ' left' : ', the clock has run out');
      }
    }
    if (!text) { return; }
    tip.replaceChildren(element('span', {text}));
    tip.hidden = false;
    const box = connection.picture.getBoundingClientRect(), ratio = box.width / at.width;
    tip.style.left = Math.min(box.left + px * ratio + 14, document.documentElement.clientWidth - tip.offsetWidth - 6) + window.scrollX + 'px';
    tip.style.top = box.top + py * ratio + 14 + window.scrollY + 'px';
  }

  // Words beside the picture.
  function summary(connection) {
    const {packets, requests, marks} = connection, said = [];
    const count = test => packets.filter(test).length;
    const span = connection.ended - connection.began;
    const hidden = connection.count - packets.length;
    said.push(plural(connection.count, 'packet') + (hidden > 0 ? ', ' + packets.length.toLocaleString('en') + ' of them shown, ' : '') + ' in ' + duration(span));
    if (requests.length) { said.push(plural(requests.length, 'request') + ' (' + requests.map(one => one.status || 'no answer').slice(0, 8).join(', ') + (requests.length > 8 ? ', …' : '') + ')'); }
    const probes = count(one => one.kind === PROBE), replies = count(one => one.kind === REPLY);
    if (hidden <= 0) { said.push(probes ? plural(probes, 'keepalive probe') + ', ' + replies + ' answered' : 'no keepalive probe'); }
    for (const mark of marks.slice(0, 3)) { said.push((mark.kind === EXPIRED ? 'the idle clock ran out at ' : 'known again at ') + instant(mark.time - offsetOf(connection), 1e4)); }
    const swallowed = count(one => one.fate === SWALLOWED), forged = count(one => one.fate === FORGED);
    if (swallowed) { said.push(plural(swallowed, 'packet') + ' swallowed'); }
    if (forged) { said.push(plural(forged, 'packet') + ' forged by the balancer'); }
    return said.join('; ') + '.';
  }
  function table(connection) {
    const heads = ['Frame', 'Time', 'Way', 'Packet', 'Flags', 'Sequence', 'Bytes', 'Idle before', 'Answers'];
    const body = element('tbody');
    for (const packet of connection.packets) {
      if (packet.gap > 0) { body.append(element('tr', {class: 'gap'}, element('td', {colspan: String(heads.length), text: plural(packet.gap, 'packet') + ' not shown'}))); }
      const [from, to] = route(packet);
      const cells = [packet.frame, instant(packet.time - offsetOf(connection), 1), lanes[from] + ' → ' + lanes[to], kindName(packet), flagNames(packet.flags),
        relative(connection, packet), packet.length, packet.idle ? duration(packet.idle) : '', packet.answers || ''];
      const row = element('tr', packet.fate !== PASSED || packet.kind === RESET ? {class: 'bad'} : {});
      cells.forEach((cell, i) => row.append(element('td', {text: String(cell), ...([0, 1, 5, 6, 7, 8].includes(i) ? {class: 'number'} : {})})));
      body.append(row);
    }
    return element('table', {}, element('thead', {}, element('tr', {}, ...heads.map(text => element('th', {scope: 'col', text})))), body);
  }

  // The page.
  const WORDS = ['kept', 'look', 'failed'];
  function build() {
    frame(report, report.source + (report.began === undefined ? '' : ', ' + wall(0)));
    legend();
    measure();
    const near = new IntersectionObserver(entries => {
      for (const entry of entries) {
        const connection = connections[Number(entry.target.dataset.index)];
        connection.isNear = entry.isIntersecting || (isSmall && connection.index < OPEN_AT_FIRST);
        if (entry.isIntersecting && connection.stale) { connection.stale = false; render(connection); }
      }
    }, {rootMargin: '400px'});
    const sizes = new ResizeObserver(entries => {
      for (const entry of entries) {
        const connection = connections[Number(entry.target.dataset.index)];
        if (connection.isNear && Math.abs(entry.contentRect.width - (connection.lastWidth || 0)) > 1) { later(connection); }
      }
    });
    const main = byId('connections');
    // A small page is drawn at once, a large one where it is looked at.
    const isSmall = connections.reduce((sum, one) => sum + one.packets.length, 0) < SMALL;
    for (const connection of connections) {
      const open = connection.index < OPEN_AT_FIRST;
      const head = element('summary', {}, element('span', {class: 'badge', text: WORDS[connection.trouble]}), element('h2', {text: connection.name}));
      const ends = connection.client + ' → ' + connection.server;
      if (!connection.name.includes(ends)) { head.append(element('span', {class: 'ends mono', text: ends})); }
      const holder = element('details', {class: 'connection t' + connection.trouble}, head);
      connection.stale = true;
      const fill = () => {
        if (connection.picture) { return; }
        const text = summary(connection);
        const picture = element('div', {class: 'picture', tabindex: '0', role: 'group', 'aria-roledescription': 'timeline', 'data-index': String(connection.index),
          'aria-label': connection.name + ': ' + connection.verdict + ' ' + text + ' Arrow keys go from packet to packet.'});
        const listing = element('details', {class: 'listing'}, element('summary', {text: 'Packets as a table (' + connection.packets.length.toLocaleString('en') + ')'}));
        listing.addEventListener('toggle', () => {
          if (listing.open && !listing.querySelector('table')) { listing.append(element('div', {class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Packets'}, table(connection))); }
        });
        const body = element('div', {class: connection.settings.length ? 'body' : 'body alone'}, element('p', {class: 'verdict', text: connection.verdict}),
          element('div', {}, picture, element('p', {class: 'words', text}), listing));
        if (connection.settings.length) { body.append(settings(connection.settings, 'Balancer and policy')); }
        holder.append(body);
        connection.picture = picture;
        connection.isNear = open && isSmall;
        picture.style.minHeight = layout(connection, 900).height + 'px';
        listen(connection);
        near.observe(picture);
        sizes.observe(picture);
      };
      holder.addEventListener('toggle', () => { if (holder.open) { fill(); } });
      if (open) { fill(); }
      holder.open = open;
      main.append(holder);
    }
    if (!connections.length) {
      main.append(element('p', {class: 'nothing', text: 'No connection was seen.'}));
      for (const part of document.querySelectorAll('.bar, .foot > section:not(#left-out)')) { part.hidden = true; }
    }

    const middle = () => (view[0] + view[1]) / 2;
    byId('in').addEventListener('click', () => zoom(1 / 1.6, middle()));
    byId('out').addEventListener('click', () => zoom(1.6, middle()));
    byId('fit').addEventListener('click', () => show(...full));
    const pressed = () => { byId('aligned').setAttribute('aria-pressed', String(aligned)); byId('clock').setAttribute('aria-pressed', String(!aligned)); };
    const align = value => { aligned = value; pressed(); measure(); renderAll(); };
    byId('aligned').addEventListener('click', () => align(true));
    byId('clock').addEventListener('click', () => align(false));
    pressed();
    window.addEventListener('resize', drawOverview);
    window.addEventListener('scroll', () => { if (!document.activeElement || !document.activeElement.classList.contains('picture')) { hideTip(); } }, {passive: true});
    window.addEventListener('beforeprint', () => connections.forEach(render));
    renderAll();
    document.documentElement.dataset.ready = '1';
  }
  function legend() {
    const entries = [
      [1, PASSED, 'data'], [0, PASSED, 'acknowledgement'], [2, PASSED, 'handshake, end (SYN, FIN)'], [PROBE, PASSED, 'keepalive probe'], [REPLY, PASSED, 'reply to a probe'],
      [RESET, PASSED, 'reset of an end'],
    ];
    if (lanes.length > 2) { entries.push([RESET, FORGED, 'sent by the balancer'], [1, SWALLOWED, 'swallowed by the balancer']); }
    for (const [kind, fate, text] of entries) {
      const svg = document.createElementNS(SVG, 'svg');
      svg.setAttribute('viewBox', '0 0 34 20');
      svg.setAttribute('aria-hidden', 'true');
      const style = KINDS[kind].style;
      shape(svg, 'line', {class: style + (fate === SWALLOWED ? ' swallowed' : ''), x1: 8, y1: 10, x2: 30, y2: 10});
      glyph(svg, style, 8, 10, kind, fate);
      if (fate === SWALLOWED) { shape(svg, 'path', {class: 'stop', d: 'M24 5L33 15M24 15L33 5'}); }
      byId('legend').append(element('li', {}, svg, element('span', {text})));
    }
    const svg = document.createElementNS(SVG, 'svg');
    svg.setAttribute('viewBox', '0 0 34 20');
    svg.setAttribute('aria-hidden', 'true');
    const drains = connections.some(connection => connection.timeout !== undefined);
    shape(svg, 'path', {class: 'level', d: drains ? 'M2 18L2 3L17 18ZM17 18L17 3L32 18Z' : 'M2 18L17 3L17 18ZM17 18L32 3L32 18Z'});
    shape(svg, 'path', {class: 'edge', d: drains ? 'M2 3L17 18L17 3L32 18' : 'M2 18L17 3L17 18L32 3'});
    byId('legend').append(element('li', {}, svg, element('span', {text: drains ? 'idle clock: drains while idle, refilled by packets' : 'idle time: since the packet before'})));
  }
  build();
})();
