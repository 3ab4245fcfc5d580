"""Fetch new records into tonight's drop: FHIR Bulk Data, or dated folders at any fsspec URL.

``smart_token`` gets access, ``bulk_export`` runs one export, ``remote_folder`` copies folders; ``stage`` chooses by the
URL in ``PMLM_SOURCE``.
"""
