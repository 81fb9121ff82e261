// A table of films: sorted by its headings, which are buttons, so by keyboard too; filtered by decision and by words;
// a film's name opens it. Rows without a figure stay last both ways. `element` is the table's component.
const rows = () => [...element.querySelectorAll('tbody tr')];

const filter = () => {
  const wanted = element.querySelector('[data-only][aria-pressed=true]')?.dataset.only ?? '';
  const words = element.querySelector('input[type=search]').value.trim().toLowerCase();
  for (const row of rows()) {
    const text = row.innerText || row.textContent;
    row.hidden = Boolean(wanted && row.dataset.decision !== wanted) || !text.toLowerCase().includes(words);
  }
};

const sort = (head) => {
  const at = head.cellIndex, down = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
  for (const other of element.querySelectorAll('th')) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down === 1 ? 'ascending' : 'descending');
  const key = (row) => row.cells[at].dataset.key ?? row.cells[at].textContent;
  const sorted = rows().sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === '' || y === '') return (x === '') - (y === '');
    return down * (head.dataset.kind === 'number' ? x - y : x.localeCompare(y, undefined, {numeric: true}));
  });
  element.querySelector('tbody').append(...sorted);
};

element.addEventListener('click', ({target}) => {
  const head = target.closest('th[data-kind]'), only = target.closest('[data-only]'), open = target.closest('[data-open]');
  if (target.closest('th button') && head) sort(head);
  if (only) {
    const pressed = only.ariaPressed !== 'true';
    for (const other of element.querySelectorAll('[data-only]')) other.ariaPressed = String(other === only && pressed);
    filter();
  }
  if (open) {
    const order = [...element.querySelectorAll('[data-open]')].filter((one) => one.checkVisibility());
    trigger('select', {index: Number(open.dataset.open), order: order.map((one) => Number(one.dataset.open))});
  }
});
element.addEventListener('input', ({target}) => { if (target.type === 'search') filter(); });
