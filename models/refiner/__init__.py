"""Refiners: they choose which segments and which style go into the prompt, and write nothing.

    a ~ π_θ(a | q, S)      a = (style, pick, pick, …, STOP), q the question, S the ranked candidate segments

Read in this order: ``interface`` (the Protocol and the caps), ``baselines`` (rules), ``actions`` (the edit
vocabulary), ``featurizer`` (text to vectors), ``policy`` (π_θ), ``inference`` and ``greedy_decoder`` (how it decides);
then how it learns: ``warm_start`` (supervised, on labels of ``models.replies``), ``grpo`` (RL),
``best_of_k`` and ``gain_regressors`` (what RL is compared with); last ``checkpoint`` (the files of a refiner).
"""
