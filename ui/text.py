"""The words of the page, every one in English and Spanish, and how numbers are written in each."""

import re
from typing import Literal, get_args

from cxr.image import MAX_BYTES, MAX_PIXELS, MIN_SIDE

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
    "truth": {"en": "label of the example", "es": "etiqueta del ejemplo"},
    "source": {"en": "source of the example", "es": "origen del ejemplo"},
    "seconds": {"en": "time taken", "es": "tiempo empleado"},
    "model": {"en": "model", "es": "modelo"},
    "weights": {"en": "weights (sha256)", "es": "pesos (sha256)"},
    "revision": {"en": "revision", "es": "revisión"},
    # The heat map
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
    # Errors
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
        "wrong, and it does not notice.",
        "es": "En adultos, proyecciones laterales, otras partes del cuerpo e imágenes de otros hospitales sus "
        "respuestas son desconocidas o erróneas, y no lo advierte.",
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
    "figure.roc_auc": {"en": "ROC AUC", "es": "AUC ROC"},
    "figure.sensitivity": {"en": "Sensitivity", "es": "Sensibilidad"},
    "figure.specificity": {"en": "Specificity", "es": "Especificidad"},
    "value": {"en": "value", "es": "valor"},
    "on_validation": {"en": "on validation", "es": "en validación"},
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
