//! Which target, and where its runs are kept.

use anyhow::{Result, bail};
use evenkeel_chaos::target::Target;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub struct TargetOptions {
    /// What it runs against: compose/target.yaml, or demo-out/target.yaml of `make up`
    #[arg(long, value_name = "FILE", default_value = "compose/target.yaml")]
    pub target: PathBuf,
    /// Where journals, reports and what is to be undone are kept
    #[arg(long, value_name = "DIR", default_value = "chaos-out")]
    pub out: PathBuf,
}

impl TargetOptions {
    /// Reads it.
    pub fn load(&self) -> Result<Target> {
        if !self.target.is_file() {
            bail!(
                "--target {}: there is no such file: give compose/target.yaml of the project, or demo-out/target.yaml while make up runs",
                self.target.display()
            );
        }
        Target::load(&self.target)
    }

    /// What heals it.
    pub fn abort(&self) -> String {
        format!("evenkeel chaos abort --target {} --out {}", self.target.display(), self.out.display())
    }
}
