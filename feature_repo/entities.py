"""The one entity of the store: a patient, by pseudonym."""

from feast import Entity, ValueType

subject = Entity(
    name="subject",
    join_keys=["subject_id"],
    value_type=ValueType.INT64,
    description="A patient: the keyed 63-bit hash of the identifier, never the identifier itself.",
)
