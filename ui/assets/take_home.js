// Own data to take home: the CSV that the page was sent, and the result as it stands, as one HTML file.
// `element` is the component of the result.
element.addEventListener('click', ({target}) => {
  const take = target.closest('[data-take]')?.dataset.take;
  if (!take) return;
  const link = document.createElement('a');
  if (take === 'csv') {
    link.href = document.querySelector('#own-csv [data-csv]').dataset.csv;
    link.download = 'own-data.csv';
  } else {
    const result = element.querySelector('section').cloneNode(true);
    for (const control of result.querySelectorAll('.takeaway, .choice')) control.remove();
    const {lang, title} = {lang: document.documentElement.lang, title: document.title};
    const sheet = `<!doctype html><html lang="${lang}"><head><meta charset="utf-8"><title>${title}</title>` +
      `<style>${__STYLE__}</style></head><body><main>${result.outerHTML}</main></body></html>`;
    link.href = URL.createObjectURL(new Blob([sheet], {type: 'text/html'}));
    link.download = 'own-data-report.html';
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  link.click();
});
