"""The feature store's definitions: what a data engineer reads and edits.

Read a feature in this order:

1. ``entities``: whose features they are, a patient by pseudonym.
2. ``point_in_time``: what was known of the patient as of a time. Every expression starts from ``select_known``.
3. ``groups``: one file per feature group, with its ``expression``, ``view`` and meaning. A new file is a new group;
   no list names them. ``signals`` and ``concepts`` are what several groups build on.
4. ``store``: find all groups (``services``), define the Feast store over their files, read a patient online.

The night that computes the rows is ``pipelines.features``.
"""
