"""Read feature rows as of any past time by Feast's point-in-time join, as training does."""

from __future__ import annotations

import pandas as pd
from ibis.common.exceptions import IbisTypeError

from feature_repo.point_in_time import KEY
from feature_repo.store.feast_store import define_store
from feature_repo.store.rows import cast_row
from feature_repo.store.services import SERVICE
from pipelines.features.build.definitions import TRAJECTORY
from pipelines.features.engines import feature_files
from pipelines.features.engines.duckdb_engine import connect
from pmlm.errors import FeaturesError
from pmlm.settings import Settings

#: A registry of its own below the store's folder: reading the past needs no online store and waits for none.
OFFLINE = "offline"


def read_rows(settings: Settings, entities: pd.DataFrame) -> pd.DataFrame:
    """Read each patient's features as known at each moment, in the order given.

    ``entities`` has ``subject_id`` and ``event_timestamp`` (aware); the result has both and every feature of the
    service in plain Python values (``feature_repo.store.rows``), exactly those that
    ``feature_repo.store.online.read`` would have given at that moment. A patient of whom nothing was known by then
    has unknown features. Raises ``FeaturesError`` before the first build, and where trajectory rows are of several
    models.
    """
    if not any(settings.features.glob("*/*.parquet")):
        raise FeaturesError("no features yet: run `pmlm features build`")
    feature_files.check_one_model(feature_files.scan_rows(settings.features / TRAJECTORY))
    asked = entities[list(KEY)].reset_index(drop=True)
    # Feast's DuckDB store needs microseconds
    asked["event_timestamp"] = pd.to_datetime(asked["event_timestamp"], utc=True).dt.as_unit("us")
    store = define_store(settings.feast / OFFLINE, settings.features)
    service = store.get_feature_service(SERVICE)
    try:
        with connect():
            found = store.get_historical_features(entity_df=asked.drop_duplicates(), features=service).to_df()
    except IbisTypeError as error:  # an earlier version built them
        raise FeaturesError("the feature files lack features of this version: run `pmlm features build`") from error
    found["event_timestamp"] = pd.to_datetime(found["event_timestamp"], utc=True).dt.as_unit("us")
    ordered = asked.merge(found, on=list(KEY), how="left")
    values = [cast_row(row) for row in ordered.to_dict("records")]
    # object columns: pandas would turn None into NaN, integers into floats and datetimes into its own
    return pd.concat([asked, pd.DataFrame(values, dtype=object)], axis=1)
