// After a reading: what an earlier file was told is no longer true, and the result is to be seen and heard.
() => setTimeout(() => {
  for (const close of document.querySelectorAll('[data-testid=toast-close]')) close.click();
  const panel = document.querySelector('#result .reading'), narrow = innerWidth <= 640;
  if (!panel) return;
  panel.focus({preventScroll: true});
  const bench = document.getElementById('neighbours') ?? document.getElementById('bench');
  (narrow ? bench : panel).scrollIntoView({block: narrow ? 'start' : 'nearest'});
}, 50)
