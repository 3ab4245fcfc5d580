"""The first stage of the night: FHIR records in, events of de-identified facts out.

Reading order: ``ingest`` tells the story of one drop. What it calls, bottom up:

- ``read``: files to raw resources; FHIR references, codes and times.
- ``interpret``: whose content a record is, and how certain it is.
- ``validate``: structural checks (``fields`` is the allowlist), then value checks by Great Expectations.
- ``deidentify``: index the identifiers that records name; mask them in free text.
- ``log``: what is stored: event log, ledger, quarantine; row spill; new versions against the log.
- ``extract``: one function per resource type, from a checked resource to facts.
- ``prescan`` and ``processor``: the first and second pass over a drop's resources.
- ``feedback``: feedback on answers becomes events.

``drops`` lists a clinic's drops, ``replay`` retries the quarantine, ``stage`` has the entry points.
"""
