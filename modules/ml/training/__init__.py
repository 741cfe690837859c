"""Training: the operators that run tenants' jobs on many machines at once, the runtimes that jobs name, and what each job gets unasked.

Needs the tenants' namespaces, certificates and, for queueing, Kueue. Offers the kinds TrainJob and JobSet, and, where the profile asks for them,
those of before: MPIJob, PaddleJob, PyTorchJob, TFJob, XGBoostJob.
"""
