// To run when the page has loaded. The browser's half of gr.Image lets only files through that the browser calls
// images, and it calls a DICOM file nothing of the kind; so every other file gets an image's type before it looks.
() => {
  const box = (event) => event.target.closest && event.target.closest('#film');
  const input = (place) => place.querySelector('input[type=file]');
  const named = (files) => {
    const transfer = new DataTransfer();
    for (const file of files) {
      transfer.items.add(file.type.startsWith('image/') ? file : new File([file], file.name, {type: 'image/dicom'}));
    }
    return transfer.files;
  };
  document.addEventListener('click', (event) => {
    if (box(event)) input(box(event))?.removeAttribute('accept');
  }, true);
  document.addEventListener('change', (event) => {
    if (box(event) && event.target.type === 'file') event.target.files = named(event.target.files);
  }, true);
  document.addEventListener('drop', (event) => {
    const files = event.dataTransfer?.files;
    if (!box(event) || !files?.length || [...files].every((file) => file.type.startsWith('image/'))) return;
    event.preventDefault();
    event.stopPropagation();
    const taker = input(box(event));
    taker.files = named(files);
    taker.dispatchEvent(new Event('change', {bubbles: true}));
  }, true);
}
