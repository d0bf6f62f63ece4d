
'use strict';
// What the scripts of all reports share. Text from the data becomes text nodes only.
const SVG = 'http://www.w3.org/2000/svg';
const byId = id => document.getElementById(id);
function element(name, properties, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties || {})) {
    if (key === 'text') { made.textContent = value; } else { made.setAttribute(key, value); }
  }
  made.append(...children);
  return made;
}
function shape(parent, name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const key in attributes) { made.setAttribute(key, attributes[key]); }
  if (text !== undefined) { made.textContent = text; }
  parent.appendChild(made);
  return made;
}
// The heading, the figures, and what is not shown.
function frame(report, source) {
  document.title = report.title;
  byId('title').textContent = report.title;
  byId('source').textContent = source;
  byId('program').textContent = 'Written by ' + report.program + '. This file is complete: it loads nothing.';
  for (const [name, value] of report.facts) { byId('facts').append(element('div', {}, element('dt', {text: name}), element('dd', {text: value}))); }
  byId('facts').hidden = !report.facts.length;
  for (const text of report.leftOut.flat()) { byId('left-out-list').append(element('li', {text})); }
  byId('left-out').hidden = !report.leftOut.length;
}
// Values by group; those that made the difference are marked.
function settings(rows, label) {
  const aside = element('aside', {class: 'settings', 'aria-label': label});
  const groups = new Map();
  for (const [group, name, value, note, decisive] of rows) {
    if (!groups.has(group)) { groups.set(group, element('tbody')); }
    const cell = element('td', {text: value});
    if (note) { cell.append(element('span', {class: 'note', text: note})); }
    groups.get(group).append(element('tr', decisive ? {class: 'decisive'} : {}, element('th', {scope: 'row', text: name}), cell));
  }
  for (const [group, body] of groups) { aside.append(element('div', {}, element('h3', {text: group}), element('table', {}, body))); }
  return aside;
}
