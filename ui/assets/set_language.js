// The document's language and title follow the switch, and the choice is kept for the next visit.
// `spoken` says that the page has found its language, for whoever drives it.
(locale) => {
  const language = locale.slice(0, 2);
  document.documentElement.lang = locale;
  document.documentElement.dataset.spoken = language;
  document.title = {en: __EN__, es: __ES__}[language];
}
