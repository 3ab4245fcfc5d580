"""### Judge the challenger, and serve what won

Starts where `retrain` has trained and evaluated a challenger: *gate → drafts → package*, then the night is saved as a
DVC experiment and a running endpoint is restarted on the release.

- The gate's task returns its verdict, the paired difference and its interval; so does the event of `pmlm_champion`.
- **HOLD, REJECT, WAITING?** The champion stays; `metrics/gate.json` has all figures, `pmlm releases` the history.
- In a terminal: `pmlm gate`, `pmlm promote`, `pmlm rollback`; the whole night: `pmlm night`.
"""

from __future__ import annotations

from airflow.sdk import chain, dag

from dags.tasks import CHALLENGER, CHAMPION, COMMON, DROPS, make_release_tasks, make_stage_task


@dag(dag_id="promote", schedule=[CHALLENGER], params={"drops": DROPS}, doc_md=__doc__, **COMMON)
def promote() -> None:
    chain(make_stage_task("gate", CHAMPION), *make_release_tasks())


promote()
