"""Fetches new records into drops, by FHIR Bulk Data export or from remote folders.

``smart_token`` gets access, ``bulk_export`` runs one export, ``remote_folder`` copies folders; ``stage`` chooses by the
URL in ``PMLM_SOURCE``.
"""
