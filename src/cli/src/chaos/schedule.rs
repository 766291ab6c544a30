//! `schedule`: the calendar of experiments for what runs them.

use super::source;
use anyhow::{Context, Result, bail};
use evenkeel_chaos::catalog;
use evenkeel_chaos::experiment::Schedule;
use evenkeel_chaos::schedule::{Due, cron, kubernetes, systemd};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes to standard output; with --write the files themselves.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// For whom
    #[arg(long = "as", value_enum)]
    form: Form,
    /// The target file, where the experiments will run
    #[arg(long, value_name = "FILE", default_value = "/etc/evenkeel-chaos/target.yaml")]
    target: PathBuf,
    /// Where the runs will be kept there
    #[arg(long, value_name = "DIR", default_value = "/var/lib/evenkeel-chaos")]
    out: PathBuf,
    /// Kubernetes: the image
    #[arg(long, default_value = "evenkeel:latest")]
    image: String,
    /// systemd: a folder that the units are written into, each as a file
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
    /// These alone: names of `evenkeel chaos list`, or files with a schedule [default: all that have one]
    experiments: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Cron,
    Systemd,
    Kubernetes,
}

/// `evenkeel chaos schedule`.
pub fn run(options: &Options) -> Result<ExitCode> {
    let (target, out) = (options.target.display(), options.out.display());
    let all = chosen(options)?;
    let due: Vec<Due> = all
        .iter()
        .map(|(what, name, schedule)| Due {
            name,
            schedule,
            command: format!("evenkeel chaos run {what} --target {target} --out {out}"),
            abort: format!("evenkeel chaos abort --target {target} --out {out}"),
        })
        .collect();
    match options.form {
        Form::Cron => crate::print(&cron(&due))?,
        Form::Kubernetes => crate::print(&kubernetes(&due, &options.image))?,
        Form::Systemd => {
            for (name, text) in systemd(&due, &out.to_string()) {
                let Some(folder) = &options.write else {
                    crate::print(&format!("# {name}\n{text}\n"))?;
                    continue;
                };
                let path = folder.join(name);
                std::fs::write(&path, text)
                    .with_context(|| format!("{}: cannot be written", path.display()))?;
                println!("{}", path.display());
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What is run, what it is called, and when.
fn chosen(options: &Options) -> Result<Vec<(String, String, Schedule)>> {
    let mut all = Vec::new();
    if options.experiments.is_empty() {
        for entry in catalog::ALL {
            if let Some(schedule) = entry.experiment().context(entry.name)?.schedule {
                all.push((entry.name.to_owned(), entry.name.to_owned(), schedule));
            }
        }
    }
    for wanted in &options.experiments {
        let found = source::find(wanted)?;
        let Some(schedule) = found.experiment.schedule else {
            bail!("{wanted}: schedule: is missing: say when it is due, like {{every: month, monday: 1}}");
        };
        all.push((wanted.clone(), found.name, schedule));
    }
    Ok(all)
}
