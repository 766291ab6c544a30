//! What a run of an experiment will be like, before it is run.

use crate::experiment::Experiment;
use std::time::Duration;

/// How long a run takes if all goes well: the load before, the method with its pauses, and a minute for
/// the way back.
pub fn length(experiment: &Experiment) -> Duration {
    let pauses = experiment.method.iter().map(|step| step.pauses.before.get() + step.pauses.after.get());
    Duration::from_millis(experiment.load.baseline.get() + pauses.sum::<u64>()) + Duration::from_secs(60)
}
