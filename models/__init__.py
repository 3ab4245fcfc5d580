"""The method of PMLM, pure: feature rows in, prompts out.

Read it in this order, about twenty minutes:

1. ``schema``: the types (event, segment, edit program, episode); ``vocabulary`` and
   ``code_sets``: the codes read by meaning; ``feature_row``: how one value of a row is read.
2. ``patient``, self-informed: ``gestational_age`` (with ``pregnancy_statements``, ``pregnancy_dating`` and
   ``pregnancy_end``), ``change_detection``, ``reference_ranges``, ``preferences``;
   ``trajectory`` and ``forecaster`` (the next visit).
3. ``peers``, peer-informed: ``patient_embedding``, ``search``, ``aggregates`` (what may be published),
   ``outcome_estimates`` (what is stated of them); ``exact_knn`` and ``ann_index`` (how neighbours are found),
   ``cohort_partitions`` (on a cluster).
4. ``replies``: ``alignment`` (which facts a reply took up), with ``sentences`` and ``question_kinds``;
   ``pseudo_labels`` (in nats).
5. The recommender: ``relevance`` (what guidance names for a question), ``peers.recommendation`` (how often clinicians
   took a fact up), then ``prompt``: ``candidates`` (with ``sentences``), ``ranking`` (the initial prompt;
   ``ranking_fit``, ``ranker_file``), ``rendering`` (its text), ``personalize`` (the whole path from a row to the
   refined prompt); ``templates`` and ``encoder`` (with ``minilm_forward``) serve them.
6. ``reward``: ``terms`` (reward and gain), ``embedded_scorer``; ``server_scorer`` and ``judge`` (other scorers);
   ``style_ratings`` and ``off_policy`` (what ratings say of styles, and of a challenger).
7. ``refiner``: ``interface``, ``actions``, ``featurizer``, ``policy`` (with ``policy_config``), ``inference`` (with
   ``greedy_decoder``); ``warm_start`` (with ``guidance``), ``rl_need``, ``grpo``, ``credit`` (how it learns);
   ``best_of_k``, ``gain_regressors``, ``baselines`` (what it must beat); ``checkpoint``.
8. ``safety``: ``triage`` (red flags of a message), ``answer_check`` (what may be shown) with ``contradictions`` and
   ``drug_names``; ``llm`` (any language model), ``feedback`` (what ratings are worth).
9. ``drafts``: ``wordings``, ``fact_conditions``, ``learning``, ``drafting`` (a clinician's reply in the clinic's own
   sentences).

Nothing in here imports a scheduler, a feature store or a server.
"""
