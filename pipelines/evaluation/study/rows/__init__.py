"""One file per row of METHOD's table; its first line names the row's number.

Each has ``build_rows``, called by ``study.unscored_parts`` where no language model is
needed (rows 2, 3, 4, 12 and 13), else by ``study.scored_parts``. Rows import ``comparison``, and not each other.
``unseen`` has those of what was never seen in training.
"""
