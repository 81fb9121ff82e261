"""The words of the page, every one in English and Spanish, and how numbers are written in each."""

import re
from html import escape
from typing import Literal, get_args

from cxr.imaging.decode import MAX_BYTES, MAX_PIXELS, MIN_SIDE

Language = Literal["en", "es"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
LANGUAGE_NAMES: dict[Language, str] = {"en": "English", "es": "Español"}
DEFAULT_LANGUAGE: Language = "en"

_MIB, _MEGAPIXELS = MAX_BYTES // 2**20, MAX_PIXELS // 10**6

WORDS: dict[str, dict[Language, str]] = {
    # The head of the page
    "title": {
        "en": "Chest X-ray pneumonia classifier",
        "es": "Clasificador de neumonía en radiografías de tórax",
    },
    "subtitle": {
        "en": "Reads a child's frontal chest radiograph: what it says, how sure it is, and where it looked.",
        "es": "Lee una radiografía frontal de tórax infantil: qué dice, con qué certeza y dónde ha mirado.",
    },
    "notice": {
        "en": "For research and teaching; not a medical device.",
        "es": "Para investigación y docencia; no es un producto sanitario.",
    },
    "phantom_model": {
        "en": "This model was trained on synthetic phantoms, not on radiographs of people: "
        "what it says of a real film means nothing.",
        "es": "Este modelo se ha entrenado con imágenes sintéticas, no con radiografías de personas: "
        "lo que diga de una radiografía real no significa nada.",
    },
    # Controls
    "film": {"en": "Radiograph", "es": "Radiografía"},
    "drop": {
        "en": "Drop a radiograph here, paste it, or click to choose\nPNG, JPEG, TIFF, WebP or DICOM",
        "es": "Suelte aquí una radiografía, péguela o pulse para elegirla\nPNG, JPEG, TIFF, WebP o DICOM",
    },
    "read": {"en": "Read the film", "es": "Leer la radiografía"},
    "another": {"en": "Another film", "es": "Otra radiografía"},
    "opacity": {"en": "Heat map opacity (%)", "es": "Opacidad del mapa de calor (%)"},
    "examples": {"en": "Examples: click one to read it", "es": "Ejemplos: pulse uno para leerlo"},
    "examples_phantoms": {
        "en": "Examples: synthetic phantoms, not radiographs of people. Click one to read it",
        "es": "Ejemplos: imágenes sintéticas, no radiografías de personas. Pulse una para leerla",
    },
    # The reading
    "reading": {"en": "Reading", "es": "Lectura"},
    "nothing_read": {"en": "No film yet", "es": "Aún no hay radiografía"},
    "nothing_read_hint": {
        "en": "Drop a radiograph in the box, or choose an example. What the model says of it appears here.",
        "es": "Suelte una radiografía en el recuadro o elija un ejemplo. Aquí aparecerá lo que dice el modelo.",
    },
    "decision.NORMAL": {"en": "NORMAL", "es": "NORMAL"},
    "decision.PNEUMONIA": {"en": "PNEUMONIA", "es": "NEUMONÍA"},
    "decision.UNCERTAIN": {"en": "UNCERTAIN", "es": "INCIERTO"},
    "decision.REFUSED": {"en": "NOT READ", "es": "NO LEÍDA"},
    "meaning.REFUSED": {
        "en": "So there is no decision, no probability and no heat map for it. Check the image and try another.",
        "es": "Por eso no hay decisión, probabilidad ni mapa de calor. Compruebe la imagen y pruebe con otra.",
    },
    "meaning.NORMAL": {
        "en": "To the model this film looks like those labelled normal. That does not rule disease out.",
        "es": "Para el modelo, esta imagen se parece a las etiquetadas como normales. Eso no descarta enfermedad.",
    },
    "meaning.PNEUMONIA": {
        "en": "To the model this film looks like those labelled pneumonia. That is not a diagnosis.",
        "es": "Para el modelo, esta imagen se parece a las etiquetadas como neumonía. Eso no es un diagnóstico.",
    },
    "meaning.UNCERTAIN": {
        "en": "Too close to the threshold to call: the model does not decide this film.",
        "es": "Demasiado cerca del umbral: el modelo no decide sobre esta imagen.",
    },
    "probability": {"en": "calibrated probability of pneumonia", "es": "probabilidad calibrada de neumonía"},
    "probability_bare": {
        "en": "probability of pneumonia, not calibrated",
        "es": "probabilidad de neumonía, sin calibrar",
    },
    "probability_adjusted": {
        "en": "probability of pneumonia at your prevalence",
        "es": "probabilidad de neumonía con su prevalencia",
    },
    "threshold": {"en": "threshold {threshold}", "es": "umbral {threshold}"},
    "scale": {
        "en": "Probability of pneumonia {probability} on a scale from 0 to 100%. "
        "From the threshold of {threshold} on, the film is called pneumonia.",
        "es": "Probabilidad de neumonía {probability} en una escala de 0 a 100 %. "
        "A partir del umbral de {threshold}, la imagen se llama neumonía.",
    },
    "band": {
        "en": "Hatched: from {low} to {high} the model calls a film uncertain.",
        "es": "Rayado: de {low} a {high}, el modelo considera incierta la imagen.",
    },
    "prevalence": {
        "en": "The probability assumes that {prevalence} of the films show pneumonia.",
        "es": "La probabilidad supone que un {prevalence} de las imágenes muestran neumonía.",
    },
    "prevalence.adjusted": {
        "en": "Adjusted to a prevalence of {stated}; at the {reference} that the model assumes it is {probability}. "
        "Threshold and band have moved along, so the decision is the same: which films are called does not depend "
        "on how many children are ill; what a call means does.",
        "es": "Ajustada a una prevalencia del {stated}; con la del {reference} que supone el modelo es {probability}. "
        "El umbral y la franja se han movido con ella, así que la decisión es la misma: qué imágenes se señalan no "
        "depende de cuántos niños están enfermos; lo que eso significa, sí.",
    },
    "my_prevalence": {
        "en": "If you know it: of 100 children whose films you read, how many have pneumonia? (%)",
        "es": "Si lo sabe: de cada 100 niños cuyas radiografías lee, ¿cuántos tienen neumonía? (%)",
    },
    "truth.right": {
        "en": "Label of this example: {truth}. The model agrees.",
        "es": "Etiqueta de este ejemplo: {truth}. El modelo coincide.",
    },
    "truth.wrong": {
        "en": "Label of this example: {truth}. The model says {decision}: it is wrong here.",
        "es": "Etiqueta de este ejemplo: {truth}. El modelo dice {decision}: aquí se equivoca.",
    },
    "truth.uncertain": {
        "en": "Label of this example: {truth}. The model does not decide.",
        "es": "Etiqueta de este ejemplo: {truth}. El modelo no decide.",
    },
    "truth.refused": {
        "en": "Label of this example: {truth}. The model refuses the image.",
        "es": "Etiqueta de este ejemplo: {truth}. El modelo rechaza la imagen.",
    },
    "source": {"en": "source of the example", "es": "origen del ejemplo"},
    "seconds": {"en": "time taken", "es": "tiempo empleado"},
    "model": {"en": "model", "es": "modelo"},
    "weights": {"en": "weights (sha256)", "es": "pesos (sha256)"},
    "revision": {"en": "revision", "es": "revisión"},
    "state": {"en": "how it came to serve", "es": "por qué responde este"},
    "state.as_asked": {"en": "the model that was asked for", "es": "es el modelo solicitado"},
    "state.cached": {
        "en": "The model's source cannot be reached; this is the copy of an earlier visit, which may be outdated.",
        "es": "No se puede acceder al origen del modelo; esta es la copia de una visita anterior y puede no estar "
        "al día.",
    },
    "state.default": {
        "en": "the model that comes with the app",
        "es": "el modelo que acompaña a la aplicación",
    },
    # The heat map
    "map.refused": {
        "en": "The image was refused, so no heat map is shown.",
        "es": "La imagen se ha rechazado, así que no se muestra mapa de calor.",
    },
    "map_weak": {"en": "weaker", "es": "más débil"},
    "map_strong": {"en": "stronger evidence for pneumonia", "es": "indicio más fuerte de neumonía"},
    "map.evidence": {
        "en": "Colour marks where the network found evidence for pneumonia; the brighter, the stronger. "
        "It shows what moved this network, not where disease is.",
        "es": "El color marca dónde la red encontró indicios de neumonía; cuanto más claro, más fuertes. "
        "Muestra qué influyó en esta red, no dónde hay enfermedad.",
    },
    "map.outweighed": {
        "en": "Colour marks what speaks for pneumonia to the network; here it did not suffice for that call. "
        "It shows what moved this network, not where disease is.",
        "es": "El color marca lo que para la red indica neumonía; aquí no bastó para decidirlo así. "
        "Muestra qué influyó en esta red, no dónde hay enfermedad.",
    },
    "map.none": {
        "en": "Nowhere in this film did the network find evidence for pneumonia, so nothing is coloured.",
        "es": "La red no encontró indicios de neumonía en ningún lugar de esta imagen, así que nada está coloreado.",
    },
    # What decoding had to do
    "warnings": {"en": "Please note", "es": "Atención"},
    "warning.colour": {
        "en": "The image has colour; it was reduced to gray. Radiographs are gray: is it one?",
        "es": "La imagen tiene color y se ha pasado a grises. Las radiografías son grises: ¿es una?",
    },
    "warning.transparency": {
        "en": "The image has transparent parts; they were laid over black.",
        "es": "La imagen tiene partes transparentes; se han puesto sobre negro.",
    },
    "warning.rotated_by_exif": {
        "en": "The file says that it lies on its side or is mirrored; it was turned upright. Check left and right.",
        "es": "El archivo indica que está girado o reflejado; se ha enderezado. Compruebe izquierda y derecha.",
    },
    "warning.white_is_zero": {
        "en": "The file stores white as zero; its gray values were inverted.",
        "es": "El archivo guarda el blanco como cero; se han invertido sus grises.",
    },
    # What the input gate found
    "warning.not_frontal_chest": {
        "en": "This does not look like a frontal chest radiograph.",
        "es": "Esto no parece una radiografía frontal de tórax.",
    },
    "warning.inverted": {
        "en": "The image looks inverted: bone dark, air bright. Invert its gray values.",
        "es": "La imagen parece invertida: hueso oscuro y aire claro. Invierta sus grises.",
    },
    "warning.rotated": {
        "en": "The film seems to lie on its side or upside down. Turn it upright.",
        "es": "La radiografía parece estar de lado o boca abajo. Enderécela.",
    },
    "warning.blank": {
        "en": "The image is empty, or nearly so: there is nothing to read.",
        "es": "La imagen está vacía o casi vacía: no hay nada que leer.",
    },
    "warning.unlike_training": {
        "en": "This film looks unlike those that the model learned from. Trust its answer less.",
        "es": "Esta imagen no se parece a las que usó el modelo para aprender. Fíese menos de la respuesta.",
    },
    "warning.low_resolution": {
        "en": "The image has fewer pixels than the model reads; fine detail is missing.",
        "es": "La imagen tiene menos píxeles de los que lee el modelo; faltan detalles finos.",
    },
    # Errors
    "error.prevalence": {
        "en": "Expected a number above 0 and below 100; received {received}. The figures above are not adjusted.",
        "es": "Se espera un número mayor que 0 y menor que 100; ha llegado {received}. Las cifras de arriba no están "
        "ajustadas.",
    },
    "error.bad_data": {
        "en": "This archive cannot be checked: {reason}.",
        "es": "No se puede comprobar este archivo; se espera un .zip con las carpetas NORMAL y PNEUMONIA. "
        "Motivo, en inglés: {reason}.",
    },
    "error.no_file": {
        "en": "No film to read: choose, drop or paste a radiograph first.",
        "es": "No hay radiografía que leer: elija, suelte o pegue una primero.",
    },
    # About the model
    "about": {"en": "About this model", "es": "Sobre este modelo"},
    "learned": {"en": "What it learned from", "es": "Con qué se entrenó"},
    "learned.children": {
        "en": "Frontal (AP) chest radiographs of children of 1 to 5 years from one hospital, the Guangzhou Women and "
        "Children's Medical Center (Kermany, Zhang and Goldbaum 2018, CC BY 4.0).",
        "es": "Radiografías frontales (AP) de tórax de niños de 1 a 5 años de un solo hospital, el Guangzhou Women "
        "and Children's Medical Center (Kermany, Zhang y Goldbaum 2018, CC BY 4.0).",
    },
    "learned.phantoms": {
        "en": "Synthetic phantoms drawn by a generator. It has never seen a radiograph of a person.",
        "es": "Imágenes sintéticas dibujadas por un generador. Nunca ha visto una radiografía de una persona.",
    },
    "learned.other": {
        "en": "The data set {data}. Find out whose films these are before you trust an answer.",
        "es": "Los datos {data}. Averigüe de quién son esas imágenes antes de fiarse de una respuesta.",
    },
    "learned.unknown": {
        "en": "A bare weights file: it does not say what it was trained on, and its probability is not calibrated.",
        "es": "Un archivo de pesos sin más: no dice con qué se entrenó, y su probabilidad no está calibrada.",
    },
    "learned.films": {
        "en": "{count} films in training, {share} of them pneumonia.",
        "es": "{count} imágenes de entrenamiento, un {share} de ellas con neumonía.",
    },
    "limits": {"en": "Limits", "es": "Límites"},
    "limits.1": {
        "en": "On adults, lateral views, other body parts and films of other hospitals its answers are unknown or "
        "wrong. It refuses images that look unlike its training films, but cannot notice all of them.",
        "es": "En adultos, proyecciones laterales, otras partes del cuerpo e imágenes de otros hospitales sus "
        "respuestas son desconocidas o erróneas. Rechaza las imágenes que no se parecen a las de su "
        "entrenamiento, pero no puede advertirlas todas.",
    },
    "limits.2": {
        "en": "Pneumonia here is the label of a data set, not confirmed by microbiology; it knows no other disease.",
        "es": "Neumonía es aquí la etiqueta de unos datos, sin confirmar por microbiología; no conoce ninguna otra "
        "enfermedad.",
    },
    "limits.3": {
        "en": "Not for diagnosis, triage or any decision about a patient.",
        "es": "No sirve para diagnóstico, triaje ni decisión alguna sobre un paciente.",
    },
    "privacy": {
        "en": "Uploaded files are deleted within minutes and are not used for anything else.",
        "es": "Los archivos subidos se borran en minutos y no se usan para nada más.",
    },
    "measured": {"en": "Measured", "es": "Medido"},
    "measured.split": {
        "en": "{split} films: {n} ({normal} normal, {pneumonia} pneumonia). 95% intervals in brackets.",
        "es": "Imágenes de {split}: {n} ({normal} normales, {pneumonia} con neumonía). "
        "Entre corchetes, intervalos del 95 %.",
    },
    "measured.none": {
        "en": "This model comes without measured figures.",
        "es": "Este modelo no trae cifras medidas.",
    },
    "split.test": {"en": "Test", "es": "prueba"},
    "split.validation": {"en": "Validation", "es": "validación"},
    "split.val": {"en": "Validation", "es": "validación"},
    "split.train": {"en": "Training", "es": "entrenamiento"},
    "figure": {"en": "figure", "es": "cifra"},
    "measured.gap": {
        "en": "Validation films come from the same collection as those of training, and flatter: the gap between the "
        "two columns is the price of other films. Expect another gap on yours.",
        "es": "Las imágenes de validación proceden de la misma colección que las de entrenamiento, y favorecen: la "
        "distancia entre las dos columnas es el precio de otras imágenes. Con las suyas habrá otra distancia.",
    },
    "figure.roc_auc": {"en": "ROC AUC", "es": "AUC ROC"},
    "figure.sensitivity": {"en": "Sensitivity", "es": "Sensibilidad"},
    "figure.specificity": {"en": "Specificity", "es": "Especificidad"},
    "figure.precision": {"en": "PPV (precision)", "es": "VPP (precisión)"},
    "figure.npv": {"en": "NPV", "es": "VPN"},
    "figure.accuracy": {"en": "Accuracy", "es": "Exactitud"},
    "figure.f1": {"en": "F1", "es": "F1"},
    "figure.average_precision": {"en": "Average precision", "es": "Precisión media"},
    "figure.brier": {"en": "Brier score", "es": "Puntuación de Brier"},
    "figure.ece": {"en": "Calibration error", "es": "Error de calibración"},
    "figure.log_loss": {"en": "Log loss", "es": "Pérdida logarítmica"},
    "explain.roc_auc": {
        "en": "chance that a pneumonia film scores above a normal one",
        "es": "probabilidad de que una imagen con neumonía puntúe más que una normal",
    },
    "explain.sensitivity": {
        "en": "share of the pneumonia films that are called pneumonia",
        "es": "parte de las imágenes con neumonía que se llaman neumonía",
    },
    "explain.specificity": {
        "en": "share of the normal films that are called normal",
        "es": "parte de las imágenes normales que se llaman normales",
    },
    "explain.precision": {
        "en": "share of the films called pneumonia that are; depends on prevalence",
        "es": "parte de las llamadas neumonía que lo son; depende de la prevalencia",
    },
    "explain.npv": {
        "en": "share of the films called normal that are; depends on prevalence",
        "es": "parte de las llamadas normales que lo son; depende de la prevalencia",
    },
    "explain.accuracy": {
        "en": "share of all films decided rightly",
        "es": "parte de todas las imágenes bien decididas",
    },
    "explain.f1": {
        "en": "harmonic mean of PPV and sensitivity",
        "es": "media armónica del VPP y la sensibilidad",
    },
    "explain.average_precision": {
        "en": "area under the precision-recall curve",
        "es": "área bajo la curva de precisión y sensibilidad",
    },
    "explain.brier": {
        "en": "mean squared error of the probability; 0 is best",
        "es": "error cuadrático medio de la probabilidad; 0 es lo mejor",
    },
    "explain.ece": {
        "en": "mean gap between probability and outcome; 0 is best",
        "es": "distancia media entre probabilidad y resultado; 0 es lo mejor",
    },
    "explain.log_loss": {
        "en": "mean negative log-likelihood of the truth; 0 is best",
        "es": "log-verosimilitud negativa media de la verdad; 0 es lo mejor",
    },
    "value": {"en": "value", "es": "valor"},
    "on_validation": {"en": "on validation", "es": "en validación"},
    "plots": {"en": "The bundle's own plots", "es": "Los gráficos propios del modelo"},
    "plots.english": {
        "en": "As the trainer drew them.",
        "es": "Tal como los dibujó el entrenador; sus rótulos están en inglés.",
    },
    "plot.roc": {"en": "ROC curve", "es": "Curva ROC"},
    "plot.precision_recall": {"en": "Precision-recall curve", "es": "Curva de precisión y sensibilidad"},
    "plot.confusion": {"en": "Confusion matrix", "es": "Matriz de confusión"},
    "plot.reliability": {"en": "Reliability diagram", "es": "Diagrama de fiabilidad"},
    "plot.scores": {"en": "Scores by true class", "es": "Puntuaciones por clase verdadera"},
    "plot.training_curves": {"en": "Training curves", "es": "Curvas de entrenamiento"},
    # Tabs, foot
    "tab.film": {"en": "One film", "es": "Una radiografía"},
    "tab.many": {"en": "Many films", "es": "Muchas"},
    "tab.own": {"en": "Your own data", "es": "Sus datos"},
    "tab.about": {"en": "The model", "es": "El modelo"},
    "foot.api": {"en": "For programs: the API", "es": "Para programas: la API"},
    # Charts
    "chart.roc": {"en": "ROC curve.", "es": "Curva ROC."},
    "chart.roc.caption": {
        "en": "Every threshold is a point; the dot is this one.",
        "es": "Cada umbral es un punto; el círculo es este.",
    },
    "chart.roc.said": {
        "en": "ROC curve; at this threshold sensitivity {sensitivity} and specificity {specificity}.",
        "es": "Curva ROC; con este umbral, sensibilidad {sensitivity} y especificidad {specificity}.",
    },
    "chart.false_alarms": {
        "en": "False alarms (1 - specificity)",
        "es": "Falsas alarmas (1 - especificidad)",
    },
    "chart.reliability": {"en": "Reliability.", "es": "Fiabilidad."},
    "chart.reliability.caption": {
        "en": "On the dashed line, what the model says is what happens. Bars: 95% intervals.",
        "es": "En la línea discontinua, lo que dice el modelo es lo que ocurre. Barras: intervalos del 95 %.",
    },
    "chart.reliability.said": {
        "en": "Reliability diagram: observed share of pneumonia against predicted probability, in {bins} groups.",
        "es": "Diagrama de fiabilidad: parte observada con neumonía frente a la probabilidad dicha, en {bins} grupos.",
    },
    "chart.predicted": {"en": "Predicted probability", "es": "Probabilidad dicha"},
    "chart.observed": {"en": "Observed share", "es": "Parte observada"},
    # The operating-point explorer
    "explorer": {"en": "Move the threshold", "es": "Mueva el umbral"},
    "explorer.intro": {
        "en": "What the same answers on the held-out films would be worth with another threshold, and in a place "
        "where more or fewer children are ill. The uncertain band is left aside.",
        "es": "Qué valdrían las mismas respuestas sobre las imágenes reservadas con otro umbral, y en un lugar con "
        "más o menos niños enfermos. La franja incierta se deja aparte.",
    },
    "explorer.threshold": {"en": "Threshold (%)", "es": "Umbral (%)"},
    "explorer.prevalence": {
        "en": "Children with pneumonia among those examined (%)",
        "es": "Niños con neumonía entre los examinados (%)",
    },
    "explorer.back": {"en": "Back to the model's own threshold", "es": "Volver al umbral propio del modelo"},
    "thousand": {
        "en": "Of {count} children, if {prevalence} have pneumonia:",
        "es": "De {count} niños, si un {prevalence} tiene neumonía:",
    },
    "thousand.ill": {
        "en": "{total} are ill: {caught} are found, {missed} missed.",
        "es": "{total} están enfermos: {caught} se detectan, {missed} se pasan por alto.",
    },
    "thousand.healthy": {
        "en": "{total} are not: {cleared} are cleared, {false_alarms} are false alarms.",
        "es": "{total} no lo están: {cleared} se descartan bien, {false_alarms} son falsas alarmas.",
    },
    # Many films
    "many": {"en": "Read many films at once", "es": "Leer muchas radiografías a la vez"},
    "many.intro": {
        "en": "Choose several files, or one .zip. A file that cannot be read is one row with its reason.",
        "es": "Elija varios archivos o un .zip. Un archivo que no se puede leer es una fila con su motivo.",
    },
    "many.choose": {"en": "Choose films or a .zip", "es": "Elegir radiografías o un .zip"},
    "many.reading": {"en": "Reading: {done} of {total}", "es": "Leyendo: {done} de {total}"},
    "many.done": {
        "en": "{total} files: {read} read, {refused} refused, {failed} unreadable.",
        "es": "{total} archivos: {read} leídos, {refused} rechazados, {failed} ilegibles.",
    },
    "many.csv": {"en": "Download as CSV", "es": "Descargar en CSV"},
    "many.table": {
        "en": "Readings; the headings sort the rows",
        "es": "Lecturas; los encabezados ordenan las filas",
    },
    "many.thumb": {"en": "film", "es": "imagen"},
    "many.file": {"en": "file", "es": "archivo"},
    "many.decision": {"en": "decision", "es": "decisión"},
    "many.probability": {"en": "probability", "es": "probabilidad"},
    "many.notes": {"en": "notes", "es": "notas"},
    "many.failed": {"en": "UNREADABLE", "es": "ILEGIBLE"},
    # Own data
    "own": {"en": "Check the model on your own films", "es": "Comprobar el modelo con sus imágenes"},
    "own.intro": {
        "en": "Upload labelled films and see what the model is worth on them: figures with intervals, curves, and a "
        "threshold for your setting, with how sure that threshold is.",
        "es": "Suba imágenes etiquetadas y vea qué vale el modelo con ellas: cifras con intervalos, curvas y un "
        "umbral para su entorno, con su grado de seguridad.",
    },
    "own.step.1": {
        "en": "One .zip with the folders NORMAL and PNEUMONIA; with train, val and test above them, test is taken.",
        "es": "Un .zip con las carpetas NORMAL y PNEUMONIA; si encima hay train, val y test, se toma test.",
    },
    "own.step.2": {
        "en": "Films of one patient belong together in the intervals: names such as person12_bacteria_3.jpeg say so; "
        "any other file counts as a patient of its own.",
        "es": "Las imágenes de un mismo paciente van juntas en los intervalos: lo dicen nombres como "
        "person12_bacteria_3.jpeg; cualquier otro archivo cuenta como un paciente.",
    },
    "own.step.3": {
        "en": "Remove names and dates of patients from the files and their names before you upload them.",
        "es": "Quite nombres y fechas de pacientes de los archivos y de sus nombres antes de subirlos.",
    },
    "own.limit": {"en": "At most {most} films at once.", "es": "Como máximo {most} imágenes a la vez."},
    "own.target": {
        "en": "Sensitivity that you need (%)",
        "es": "Sensibilidad que necesita (%)",
    },
    "own.choose": {"en": "Choose a labelled .zip", "es": "Elegir un .zip etiquetado"},
    "own.working": {
        "en": "Reading the films; a few hundred take about a minute.",
        "es": "Leyendo las imágenes; unos cientos tardan cerca de un minuto.",
    },
    "own.done": {"en": "Done.", "es": "Hecho."},
    "own.headline": {
        "en": "{n} films: {normal} normal, {pneumonia} pneumonia, of {groups} patients",
        "es": "{n} imágenes: {normal} normales, {pneumonia} con neumonía, de {groups} pacientes",
    },
    "own.skipped": {
        "en": "Left out, because they could not be read: {count}",
        "es": "Se dejaron fuera por no poderse leer (motivos en inglés): {count}",
    },
    "own.at_threshold": {
        "en": "At the model's own threshold of {threshold}; PPV and NPV for a prevalence of {prevalence}:",
        "es": "Con el umbral propio del modelo, {threshold}; VPP y VPN para una prevalencia del {prevalence}:",
    },
    "own.all_figures": {
        "en": "All figures at the model's own threshold, with the mix of your films",
        "es": "Todas las cifras con el umbral propio del modelo y la mezcla de sus imágenes",
    },
    "own.method": {
        "en": "Intervals: 95%, {resamples} bootstrap resamples of whole patients.",
        "es": "Intervalos: 95 %, {resamples} remuestreos bootstrap de pacientes enteros.",
    },
    "suggest": {"en": "Suggested threshold for your setting", "es": "Umbral sugerido para su entorno"},
    "suggest.rule": {
        "en": "The highest threshold that catches at least {target} of your pneumonia films is {threshold}. "
        "On these very films it clears {specificity} of the normal ones.",
        "es": "El umbral más alto que detecta al menos un {target} de sus imágenes con neumonía es {threshold}. "
        "En estas mismas imágenes descarta bien un {specificity} de las normales.",
    },
    "suggest.interval": {
        "en": "With other patients of the same kind it would have come out between {low} and {high} (95%).",
        "es": "Con otros pacientes del mismo tipo habría salido entre {low} y {high} (95 %).",
    },
    "suggest.new": {
        "en": "On films that had no part in choosing it, expect a sensitivity of {sensitivity} and a specificity of "
        "{specificity}; in {reached} of the repetitions such films reached {target}.",
        "es": "En imágenes que no intervinieron en elegirlo, espere una sensibilidad de {sensitivity} y una "
        "especificidad de {specificity}; en el {reached} de las repeticiones esas imágenes alcanzaron el {target}.",
    },
    "suggest.few": {
        "en": "Too few films for a firm threshold: with {pneumonia} pneumonia films it may miss only {missed}, so a "
        "handful of films decides it.",
        "es": "Muy pocas imágenes para un umbral firme: con {pneumonia} imágenes con neumonía solo puede perder "
        "{missed}, así que lo deciden unas pocas.",
    },
    "suggest.one": {
        "en": "Do not rely on it: with {pneumonia} pneumonia films it may miss {missed}, so the single film with the "
        "lowest probability decides it.",
        "es": "No se fíe de él: con {pneumonia} imágenes con neumonía puede perder {missed}, así que lo decide la "
        "única imagen con la probabilidad más baja.",
    },
    "interval": {"en": "{low} to {high}", "es": "{low} a {high}"},
    "range": {"en": "{value} ({low} to {high})", "es": "{value} (de {low} a {high})"},
    # The report
    "report": {"en": "Download a one-page report", "es": "Descargar un informe de una página"},
    "report.title": {
        "en": "Chest X-ray pneumonia classifier: report of one film",
        "es": "Clasificador de neumonía en radiografías de tórax: informe de una imagen",
    },
    "report.notice": {
        "en": "For research and teaching; not a medical device. Not a diagnosis.",
        "es": "Para investigación y docencia; no es un producto sanitario. No es un diagnóstico.",
    },
    "report.example": {
        "en": "This film is an example that came with the model, not a patient's.",
        "es": "Esta imagen es un ejemplo que acompaña al modelo, no la de un paciente.",
    },
    "report.film": {"en": "The film", "es": "La radiografía"},
    "report.map": {"en": "With the heat map", "es": "Con el mapa de calor"},
    # Attribution of examples
    "attribution.phantom": {
        "en": "synthetic phantom",
        "es": "imagen sintética",
    },
    "attribution.held_out": {"en": "held-out film of {data}", "es": "imagen reservada de {data}"},
    # Why a file was not read, by the codes of cxr.errors.ImageRule
    "error.unreadable_file": {
        "en": "This file cannot be opened. Check it and try again.",
        "es": "No se puede abrir este archivo. Compruébelo e inténtelo de nuevo.",
    },
    "error.empty_file": {
        "en": "This file is empty. Export or copy it again.",
        "es": "Este archivo está vacío. Expórtelo o cópielo de nuevo.",
    },
    "error.too_many_bytes": {
        "en": f"This file is larger than {_MIB} MiB. Export the radiograph at a lower resolution.",
        "es": f"Este archivo ocupa más de {_MIB} MiB. Exporte la radiografía con menor resolución.",
    },
    "error.not_an_image": {
        "en": "This is not a PNG, JPEG, TIFF, WebP or DICOM image, or it is damaged. "
        "Export the radiograph as PNG or JPEG.",
        "es": "No es una imagen PNG, JPEG, TIFF, WebP o DICOM, o está dañada. "
        "Exporte la radiografía como PNG o JPEG.",
    },
    "error.damaged_image": {
        "en": "This image is damaged or cut short. Export or copy it again.",
        "es": "Esta imagen está dañada o incompleta. Expórtela o cópiela de nuevo.",
    },
    "error.too_many_pixels": {
        "en": f"This image has more than {_MEGAPIXELS} million pixels. "
        "Export the radiograph at a lower resolution.",
        "es": f"Esta imagen tiene más de {_MEGAPIXELS} millones de píxeles. "
        "Exporte la radiografía con menor resolución.",
    },
    "error.too_small": {
        "en": f"This image has fewer than {MIN_SIDE} pixels on a side. "
        "Use the original radiograph, not a thumbnail.",
        "es": f"Esta imagen tiene menos de {MIN_SIDE} píxeles en un lado. "
        "Use la radiografía original, no una miniatura.",
    },
    "error.multi_frame": {
        "en": "This file holds several images. Export one of them as PNG or JPEG.",
        "es": "Este archivo contiene varias imágenes. Exporte una de ellas como PNG o JPEG.",
    },
    "error.colour_16_bit": {
        "en": "This image has 16 bits and several channels (colour or transparency). Export it as gray.",
        "es": "Esta imagen tiene 16 bits y varios canales (color o transparencia). Expórtela en grises.",
    },
    "error.float_range": {
        "en": "This image has floating-point pixels beyond 0 to 1. Export it as a 16-bit PNG.",
        "es": "Esta imagen tiene píxeles de coma flotante fuera de 0 a 1. Expórtela como PNG de 16 bits.",
    },
    "error.beyond_16_bit": {
        "en": "This image has pixels below 0 or of more than 16 bits. Export it as a 16-bit PNG.",
        "es": "Esta imagen tiene píxeles negativos o de más de 16 bits. Expórtela como PNG de 16 bits.",
    },
    "error.dicom_no_image": {
        "en": "This DICOM file holds no image that we can read: a report, a directory or another object. "
        "Choose the file of the radiograph.",
        "es": "Este archivo DICOM no contiene ninguna imagen que se pueda leer: es un informe, un directorio "
        "u otro objeto. Elija el archivo de la radiografía.",
    },
    "error.dicom_colour": {
        "en": "This DICOM image is in colour. Choose a radiograph in gray.",
        "es": "Esta imagen DICOM es en color. Elija una radiografía en grises.",
    },
    "error.dicom_encoding": {
        "en": "The pixels of this DICOM file are encoded in a way that we cannot read. "
        "Export it uncompressed, or as PNG.",
        "es": "Los píxeles de este archivo DICOM están codificados de una forma que no se puede leer. "
        "Expórtelo sin compresión o como PNG.",
    },
    "error.dicom_damaged": {
        "en": "This DICOM file is damaged or cut short. Export or copy it again.",
        "es": "Este archivo DICOM está dañado o incompleto. Expórtelo o cópielo de nuevo.",
    },
    # Why a request cannot be done, by the codes of cxr.errors.RequestRule
    "error.too_many_files": {
        "en": "Too many films at a time. Read them in parts.",
        "es": "Demasiadas radiografías a la vez. Léalas por partes.",
    },
    "error.batch_too_large": {
        "en": "These films are too large in all. Read them in parts.",
        "es": "Estas radiografías ocupan demasiado en total. Léalas por partes.",
    },
    "error.bad_archive": {
        "en": "This .zip is damaged, encrypted or not safe to read. Make it again.",
        "es": "Este .zip está dañado, cifrado o no es seguro leerlo. Créelo de nuevo.",
    },
    "error.bad_prevalence": {
        "en": "A prevalence lies between 0 and 100%, both excluded.",
        "es": "Una prevalencia está entre el 0 y el 100 %, sin incluirlos.",
    },
    "error.no_reference_prevalence": {
        "en": "This model does not tell which prevalence its probability assumes, so it cannot be adjusted.",
        "es": "Este modelo no indica qué prevalencia supone su probabilidad, así que no se puede ajustar.",
    },
}


def say(key: str, language: Language, **values: object) -> str:
    """The words of `key`, its placeholders filled. Raises KeyError for a key that is not in the table."""
    return WORDS[key][language].format(**values)


def say_html(key: str, language: Language) -> str:
    """`say`, escaped for HTML."""
    return escape(say(key, language))


def language_of(accept_language: str) -> Language:
    """The first of our languages by the weights of an Accept-Language header (RFC 9110, 12.5.4), else English."""
    wishes: list[tuple[float, int, str]] = []
    for order, part in enumerate(accept_language.lower().split(",")):
        match = re.fullmatch(r"([a-z*]+)(?:-[\w-]+)?(?:;q=([01](?:\.\d{0,3})?))?", part.replace(" ", ""))
        if match:
            wishes.append((-float(match[2] or 1), order, match[1]))
    for weight, _, wish in sorted(wishes):
        for language in LANGUAGES:
            if wish == language and weight < 0:
                return language
    return DEFAULT_LANGUAGE


def as_language(value: object) -> Language:
    """`value` if it is one of our languages, else English."""
    return next((language for language in LANGUAGES if language == value), DEFAULT_LANGUAGE)


def number(value: float, language: Language, decimals: int = 0) -> str:
    """1,234.5 and 12,345.6 in English; 1234,5 and, with a narrow space, 12 345,6 in Spanish."""
    text = f"{value:,.{decimals}f}"
    if language == "es":
        text = text.replace(",", "" if abs(value) < 10_000 else "\N{NARROW NO-BREAK SPACE}").replace(".", ",")
    return text


def percent(share: float, language: Language, decimals: int = 1) -> str:
    """A share as a percentage; what is not quite none or all is never rounded to 0% or 100%."""
    least = 10**-decimals
    value, sign = 100 * share, ""
    if 0 < value < least:
        value, sign = least, "<"
    elif 100 - least < value < 100:
        value, sign = 100 - least, ">"
    unit = "%" if language == "en" else "\N{NO-BREAK SPACE}%"
    return f"{sign}{number(value, language, decimals)}{unit}"


def brief_percent(share: float, language: Language) -> str:
    """A share as a percentage, with one decimal only where there is one to show."""
    return percent(share, language, 1 if round(share * 1000) % 10 else 0)


def attribution(text: str, language: Language) -> str:
    """The attribution of an example as the trainer wrote it, in `language` where it is one of the two known forms."""
    if is_phantom(text):
        return say("attribution.phantom", language)
    held_out = "held-out film of "
    if text.startswith(held_out):
        return say("attribution.held_out", language, data=text.removeprefix(held_out))
    return text


def is_phantom(text: str) -> bool:
    """True for the attribution of a phantom."""
    return text.startswith("synthetic phantom")
