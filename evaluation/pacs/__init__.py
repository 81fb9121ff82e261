"""Films from a PACS by DICOMweb, and the answers back to it as DICOM objects; the one place that knows of DICOMweb."""
