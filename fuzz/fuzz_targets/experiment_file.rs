//! The experiment file's reader, and all that is done with a file before anything is struck: any bytes give an
//! experiment or problems that name a field.
#![no_main]

use evenkeel_chaos::experiment::Experiment;
use evenkeel_chaos::target::Target;
use evenkeel_chaos::{fis, schedule, selection};
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use std::sync::LazyLock;

static PLATFORM: LazyLock<Target> = LazyLock::new(|| {
    let text = include_str!("../../compose/target.yaml");
    Target::read(text, Path::new("/nonexistent"), |_| None).expect("a valid target")
});

fuzz_target!(|yaml: &[u8]| {
    match Experiment::read(yaml) {
        Ok(experiment) => {
            // A journal keeps it, and pages are made from that.
            let kept = serde_json::to_vec(&experiment).expect("an experiment is plain data");
            serde_json::from_slice::<Experiment>(&kept).expect("what is kept can be read");
            if let Err(errors) = selection::check(&PLATFORM, &experiment) {
                assert!(!errors.0.is_empty(), "does not fit, without a reason");
            }
            if let Err(error) = fis::template("fuzz", &experiment) {
                assert!(!error.is_empty(), "no template, without a reason");
            }
            if let Some(due) = &experiment.schedule {
                assert!(due.time().is_some() && !schedule::on_calendar(due).is_empty(), "{due:?}");
            }
        }
        Err(problems) => {
            assert!(!problems.0.is_empty(), "refused without a reason");
            for problem in &problems.0 {
                assert!(!problem.error.field.is_empty() && !problem.error.remedy.is_empty(), "{problem:?}");
            }
        }
    }
});
