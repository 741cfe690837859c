"""A study as Kubeflow's Katib takes it: an Experiment, `kubeflow.org/v1beta1` (Katib 0.19).

Katib's definition of the kind has no schema; its own types (`upstream/katib`) and its webhook's rules are what this keeps to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modules.kit import names
from modules.ml.tuning import jobs
from modules.ml.tuning.inside.plan import STUDY, filled
from modules.ml.tuning.study import Algorithm, CategoricalParameter, FloatParameter, Parameter, Study

API_VERSION: Final = "kubeflow.org/v1beta1"
KIND: Final = "Experiment"

ALGORITHMS: Final = {
    Algorithm.RANDOM: "random",
    Algorithm.TPE: "tpe",
    Algorithm.CMA_ES: "cmaes",
    Algorithm.GRID: "grid",
}
"""What Katib calls them (the suggestions of its KatibConfig)."""


def experiment(study: Study, image: str) -> Mapping[str, Any]:
    """The Experiment. ``image`` is for a study that names none."""
    seed = (
        {"algorithmSettings": [{"name": "random_state", "value": str(study.seed)}]}
        if study.seed is not None
        else {}
    )
    metric = study.objective.metric
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": study.name,
            "namespace": names.namespace(study.tenant),
            "labels": {STUDY: study.name},
        },
        "spec": {
            "objective": {
                "type": study.objective.direction.value,
                "objectiveMetricName": metric,
                "metricStrategies": [{"name": metric, "value": "latest"}],
            },
            "algorithm": {"algorithmName": ALGORITHMS[study.algorithm], **seed},
            "maxTrialCount": study.max_trials,
            "parallelTrialCount": study.parallel_trials,
            "maxFailedTrialCount": study.max_failed,
            "metricsCollectorSpec": {"collector": {"kind": "StdOut"}},
            "parameters": [_parameter(name, each) for name, each in study.parameters.items()],
            "trialTemplate": {
                "primaryContainerName": jobs.CONTAINER,
                "trialParameters": [{"name": name, "reference": name} for name in study.parameters],
                "trialSpec": filled(
                    jobs.trial(study, image), lambda name: f"${{trialParameters.{name}}}"
                ),
            },
        },
    }  # fmt: skip


def _parameter(name: str, parameter: Parameter) -> dict[str, Any]:
    if isinstance(parameter, CategoricalParameter):
        return {
            "name": name,
            "parameterType": "categorical",
            "feasibleSpace": {"list": list(parameter.choices)},
        }
    space = {"min": repr(parameter.low), "max": repr(parameter.high)}
    if parameter.log:
        space["distribution"] = "logUniform"
    elif parameter.step is not None:
        space["step"] = repr(parameter.step)
    kind = "double" if isinstance(parameter, FloatParameter) else "int"
    return {"name": name, "parameterType": kind, "feasibleSpace": space}
