// To run when the page has loaded. Folders and files dropped on #many-drop, or chosen as a folder, go the way of
// files that are chosen by the button in it. The tab may not be there yet, so the document listens.
() => {
  const zoneOf = (event) => event.target.closest?.('#many-drop');
  const give = (zone, files) => {
    const taker = zone.querySelector('input[type=file]'), transfer = new DataTransfer();
    for (const file of files) if (!file.name.startsWith('.')) transfer.items.add(file);
    if (!transfer.files.length) return;
    taker.files = transfer.files;
    taker.dispatchEvent(new Event('change', {bubbles: true}));
  };
  const inside = async (entry) => {
    if (entry.isFile) return [await new Promise((done, failed) => entry.file(done, failed))];
    const reader = entry.createReader(), found = [];
    for (let part; (part = await new Promise((done, failed) => reader.readEntries(done, failed))).length;) found.push(...part);
    found.sort((a, b) => a.name.localeCompare(b.name, undefined, {numeric: true}));
    return (await Promise.all(found.map(inside))).flat();
  };
  const listen = (kind, act) => document.addEventListener(kind, (event) => {
    const zone = zoneOf(event);
    if (zone) act(event, zone);
  }, true);
  listen('dragover', (event, zone) => {
    event.preventDefault();
    zone.classList.add('over');
  });
  listen('dragleave', (event, zone) => {
    if (!zone.contains(event.relatedTarget)) zone.classList.remove('over');
  });
  listen('drop', async (event, zone) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove('over');
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    give(zone, (await Promise.all(entries.map(inside))).flat());
  });
  listen('click', (event, zone) => {
    if (!event.target.closest('#many-folder')) return;
    const chooser = document.createElement('input');
    Object.assign(chooser, {type: 'file', webkitdirectory: true});
    chooser.addEventListener('change', () => give(zone, chooser.files));
    chooser.click();
  });
}
