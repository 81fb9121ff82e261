// Sorts a table by its headings, which are buttons, so by keyboard too. Rows without a figure stay last both ways.
// `element` is the table's component.
element.addEventListener('click', (event) => {
  const button = event.target.closest('th button');
  if (!button) return;
  const head = button.closest('th'), table = head.closest('table'), at = head.cellIndex;
  const down = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
  for (const other of table.querySelectorAll('th')) other.removeAttribute('aria-sort');
  head.setAttribute('aria-sort', down === 1 ? 'ascending' : 'descending');
  const key = (row) => row.cells[at].dataset.key ?? row.cells[at].innerText;
  const rows = [...table.tBodies[0].rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === '' || y === '') return (x === '') - (y === '');
    return down * (head.dataset.kind === 'number' ? x - y : x.localeCompare(y, undefined, {numeric: true}));
  });
  table.tBodies[0].append(...rows);
});
