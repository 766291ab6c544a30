//! `evenkeel link`: a link between regions, for machines where the kernel has no such thing.

use anyhow::Result;
use evenkeel_chaos::link;
use std::path::PathBuf;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The link's file: admin, condition {round_trip, loss_percent, cut}, routes of {listen, to}
    file: PathBuf,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let file = link::load(&options.file)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = link::start(&file).await?;
        println!(
            "{} routes, {:?}; change it at http://{}/",
            file.routes.len(),
            running.condition(),
            file.admin
        );
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        anyhow::Ok(())
    })?;
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}
